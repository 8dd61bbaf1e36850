"""Checks the sources, stages and reasons that a user names. A misspelt name would match no document, and the user would
know that only after a whole corpus was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mixtures.inspect.documents import Wanted
from mixtures.parquet_rows import DAMAGE, open_parquet, whole_batches
from mixtures.parts import is_of
from tokenizer.did_you_mean import or_list

_RECORDS = "records"
"""The stage of records that never became documents, such as damaged ones."""


def check_names(files: Sequence[Path], wanted: Wanted) -> None:
    """Checks that the wanted source, stage and reason occur in the output to which the files belong.

    The sources that occur are read from the first file of each folder. The stages and reasons are read from ``stats/``
    of the output. A name is not checked if these files cannot be read.

    Raises:
        ValueError: a name does not occur. The message suggests the most similar name.
    """
    if wanted.source is not None:
        known = _sources(files)
        if known and not any(is_of(name, wanted.source) for name in known):
            raise ValueError(f"there is no source {wanted.source!r} here{or_list(wanted.source, sorted(known))}")
    stages = _stages(files) if wanted.is_dropped else {}
    reasons = sorted({reason for of_stage in stages.values() for reason in of_stage})
    if stages and wanted.stage is not None and wanted.stage not in stages:
        raise ValueError(f"there is no stage {wanted.stage!r} here{or_list(wanted.stage, stages)}")
    if stages and wanted.reason is not None and wanted.reason not in reasons:
        raise ValueError(f"no document was dropped as {wanted.reason!r}{or_list(wanted.reason, reasons)}")


def _sources(files: Iterable[Path]) -> set[str]:
    """Returns the sources in the first file of each folder; an empty set if a file cannot be read."""
    first: dict[Path, Path] = {}
    for path in files:
        first.setdefault(path.parent, path)
    found: set[str] = set()
    try:
        for path in first.values():
            found |= _of_parquet(path) if path.suffix == ".parquet" else _of_shard(path)
    except (*DAMAGE, ValueError):  # the reader of the documents reports what is wrong with the file
        return set()
    return found


def _of_parquet(path: Path) -> set[str]:
    with open_parquet(path) as file:
        if "source" not in file.schema_arrow.names:
            return {path.parent.name}
        batches = whole_batches(file, batch_size=10_000, columns=["source"])
        return {name for batch in batches for name in batch.column("source").unique().to_pylist()} | {path.parent.name}


def _of_shard(path: Path) -> set[str]:
    """Returns the sources of the mixture. Every shard lists all sources, even if it has no document of a source."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return set(reader.get_batch(0).column("source").dictionary.to_pylist()) if reader.num_record_batches else set()


def _stages(files: Iterable[Path]) -> dict[str, set[str]]:
    """Returns the stages of an output, each with the reasons for which it dropped documents. Returns an empty dict if
    the statistics of any source are missing.
    """
    found: dict[str, set[str]] = {}
    for folder in dict.fromkeys(path.parent for path in files):
        stats = _stats(folder.parent.parent / "stats" / f"{folder.name}.json")
        if stats is None:
            return {}
        for row in stats["stages"]:
            found.setdefault(row["stage"], set()).update(row["dropped"])
        if stats.get("records"):
            found.setdefault(_RECORDS, set()).update(stats["records"])
    return found


def _stats(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("stages"), list) else None
