"""Does one part of ``whole_runs.py`` in a separate process: calls the steps without Beam, or profiles a run.

    python benchmarks/whole_run_child.py kernels SOURCE GLOB... --models DIR
    python benchmarks/whole_run_child.py profile [arguments of pipeline.run]

Both print one line of JSON.
"""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from filters.step import Step
from pipeline.clean.batch_address import BATCH_ID
from pipeline.clean.batches import batches, set_columns, text_bytes
from pipeline.clean.dedup.kind import KeyTools, NumberedBatch
from pipeline.clean.dedup.kinds import dedup_of_spilled_text, kind_of
from pipeline.clean.joins.licences import choose_copy
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import is_local, segments_of
from pipeline.clean.sizing import is_worth_compiling, scale_of
from pipeline.files.files import open_file
from pipeline.files.spill import SpillFile
from pipeline.models.find import find_models
from pipeline.models.load import loaded_models
from pipeline.settings.inputs import list_inputs
from pipeline.sources import SOURCES
from pipeline.sources.source import Rejected, Source, TableRow
from pipeline.sources.stack_exchange.answers import AnswerJoin

NUM_ENTRIES = 10


def kernels(name: str, globs: list[str], models_dir: str) -> dict[str, float]:
    """Reads the input of a source and does the work of all steps without Beam, spill files and output.

    Local steps are applied. Dedups compute the keys of all documents and sort them in memory, but do not drop
    documents. Nothing is counted or written. Returns two figures: the CPU seconds without the loading of models, and
    the bytes of text before the first step.
    """
    source = SOURCES[name]
    steps = tuple(step for step in source.steps if is_local(step))
    found, listing = find_models(models_dir), list_inputs(name, globs)
    is_compiled = is_worth_compiling(listing.num_bytes, 1)
    paths = {k: found[k] for step in steps for k in step.MODELS if k in found}
    models = loaded_models(steps, paths, is_compiled=is_compiled)
    units = source.reader.units(listing.files, open_file)
    passes = segments_of(source)
    keys: dict[tuple[int, str], list[tuple[int, bytes]]] = defaultdict(list)
    begun, num_bytes = time.process_time(), 0
    with tempfile.TemporaryDirectory() as folder:
        tools = KeyTools(scale_of(listing.num_bytes), SpillFile(folder), Ledger(name, 0))
        numbered = enumerate(batches(documents_of(source, units), source=name, columns=source.reader.COLUMNS), 1)
        for number, batch in numbered:
            if batch is None:
                continue
            num_bytes += text_bytes(batch.column("text"))
            for one in passes:
                batch = applied(batch, one.local, models)
                if not batch.num_rows:
                    break
                if one.spills and (hashed_for := dedup_of_spilled_text(source.steps, one)) is not None:
                    batch = kind_of(hashed_for).before_spill(batch, hashed_for)
                if one.dedups:
                    documents = NumberedBatch(batch, BATCH_ID.pack(0, 0, number), np.arange(batch.num_rows))
                    for tag, key in kind_of(one.dedups[0].step).keys(documents, one.dedups, tools):
                        keys[one.index, tag].append(key)
        tools.spill.close()
    for of_one_dedup in keys.values():
        of_one_dedup.sort()
    return {"seconds": time.process_time() - begun, "bytes": num_bytes}


def applied(batch: pa.RecordBatch, steps: Sequence[Step], models: Mapping[str, Any]) -> pa.RecordBatch:
    """Applies local steps to a batch. Returns the kept documents."""
    for step in steps:
        if not batch.num_rows:
            break
        outcome = step.apply(batch, models)
        batch = set_columns(batch, outcome.columns).filter(outcome.verdict.is_null())
    return batch


def documents_of(source: Source, units: Any) -> Iterator[dict[str, Any]]:
    """Yields the documents of a source. If the source joins records (for example questions with answers), all records
    are held and joined in memory.
    """
    records = (r for unit in units for r in source.reader.read(unit, open_file) if not isinstance(r, Rejected))
    if source.join is None:
        yield from records  # type: ignore[misc]
    elif isinstance(source.join, AnswerJoin):
        groups: dict[Any, list[Any]] = defaultdict(list)
        for record in records:
            assert isinstance(record, TableRow)
            groups[source.join.group_key(record.row)].append(record.row)
        for posts in groups.values():
            yield from (made for made in source.join.assemble(posts) if not isinstance(made, Rejected))
    else:
        yield from _with_licences(records)


def _with_licences(records: Iterator[Any]) -> Iterator[dict[str, Any]]:
    contents, files, licences = [], defaultdict(list), {}
    for record in records:
        if not isinstance(record, TableRow):
            contents.append(record)
        elif record.table == "licenses":
            licences[record.row["repo_name"]] = record.row["license"]
        else:
            files[record.row["id"]].append((record.row["repo_name"], record.row["path"]))
    for content in contents:
        copies = ((repo, path, licences.get(repo)) for repo, path in files[content["id"]])
        repo, path, licence = choose_copy(copies) or (None, None, None)
        yield {**content, "repo_name": repo, "path": path, "license": licence}


def profiled(arguments: list[str]) -> pstats.Stats:
    """Profiles ``pipeline.run`` in one process.

    Each thread has a profile of its own CPU time, and the profiles are added up. A function's time includes the
    compiled code that the function calls.
    """
    from pipeline.run import main

    profiles = [cProfile.Profile(time.thread_time, builtins=False)]

    def begin(*_: Any) -> None:
        profile = cProfile.Profile(time.thread_time, builtins=False)
        profiles.append(profile)
        profile.enable()

    threading.setprofile(begin)
    profiles[0].enable()
    status = main(arguments)
    profiles[0].disable()
    if status:
        sys.exit(status)
    stats = pstats.Stats(stream=io.StringIO())
    for profile in profiles:
        profile.create_stats()
        if profile.stats:  # type: ignore[attr-defined]
            stats.add(profile)
    return stats


def largest(stats: pstats.Stats) -> list[tuple[str, float]]:
    """Returns (function, percent) for the functions that take the most CPU time. The percentage is the function's own
    share of the total time, without the time of the functions that it calls.
    """
    entries: dict[tuple[str, int, str], Any] = stats.stats  # type: ignore[attr-defined]
    total = sum(entry[2] for entry in entries.values())
    found = sorted(entries.items(), key=lambda item: -item[1][2])[:NUM_ENTRIES]
    return [
        (f"{'/'.join(Path(path).parts[-2:])}:{function}", round(100 * entry[2] / total, 1))
        for (path, _, function), entry in found
    ]


def main() -> None:
    """Runs the part (``kernels`` or ``profile``) that the arguments name."""
    what, *rest = sys.argv[1:]
    if what == "kernels":
        models = rest.index("--models")
        print(json.dumps(kernels(rest[0], rest[1:models], rest[models + 1])))
    else:
        sys.stdout, real = sys.stderr, sys.stdout
        print(json.dumps(largest(profiled(rest))), file=real)


if __name__ == "__main__":
    main()
