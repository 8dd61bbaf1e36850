"""Damages input files of every form and runs the clean phase over them beside sound ones.

    python -m tests.mutate --mutants 1500 [--seed 0] [--sources arxiv,books]

Three rules must hold. The run ends with status 0 and without a traceback. Each sound file gives the same documents as
without damaged files. Each damaged file that gives other documents than before is named in ``dropped/``, unless its
form has no checksums.

Each violation is printed with the seed and the number of the file, so that the file can be made again. If there is a
violation, the files are kept (see ``--folder``).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipeline.run import main as run
from pipeline.sources import SOURCES
from tests.mutated_forms import FORMS, WITHOUT_CHECKSUM, mark

MUTATIONS = ("flip", "truncate", "duplicate", "splice", "zero", "overwrite")
_KEPT_STEPS = frozenset({"duplicate_id", "wikitext", "latex", "licence"})
"""The steps that stay on, because they make the texts. All other steps judge texts, and here only the reading is
tested.
"""
NUM_SOUND = 2
"""Number of sound files per form."""


def mutated(data: bytes, other: bytes, kind: str, chosen: random.Random) -> bytes:
    """Returns ``data`` with one random damage of the given kind. The kind ``splice`` continues with ``other``, another
    file of the same form.
    """
    at = chosen.randrange(len(data))
    size = chosen.randrange(1, max(2, len(data) // 4))
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ 1 << chosen.randrange(8)]) + data[at + 1 :]
    if kind == "truncate":
        return data[:at]
    if kind == "duplicate":
        return data[: at + size] + data[at : at + size] + data[at + size :]
    if kind == "splice":
        at = max(at, len(data) // 4)  # earlier, it would be the other file
        return data[:at] + other[min(at, len(other)) :]
    if kind == "zero":
        return data[:at] + bytes(len(data[at : at + size])) + data[at + size :]
    return data[:at] + chosen.randbytes(len(data[at : at + size])) + data[at + size :]


@dataclass(frozen=True, slots=True)
class File:
    """Describes one input file."""

    number: int
    form: str
    name: str
    kind: str
    """How the file was damaged; empty if it is sound."""


@dataclass(frozen=True, slots=True)
class Result:
    """Holds what a run over the files returned: exit status, printed text, and documents."""

    status: int
    output: str
    texts: dict[str, str]
    named: str
    """The locations of all rejected records, one per line."""


def write_files(source: str, folder: Path, *, num_mutants: int, seed: int) -> tuple[list[File], Path, Path]:
    """Writes all files into ``whole``. Writes the same files into ``damaged``, some of them damaged. Returns the files
    and the two folders.
    """
    files: list[File] = []
    whole, damaged = folder / "whole", folder / "damaged"
    for path in (whole, damaged):
        path.mkdir(parents=True)
    forms = list(FORMS[source].items())
    number = 0
    for index, (form, make) in enumerate(forms):
        share = num_mutants // len(forms) + (index < num_mutants % len(forms))
        for place in range(share + NUM_SOUND):
            number += 1
            chosen = random.Random(f"{seed} {source} {number}")
            kind = chosen.choice(MUTATIONS) if place < share else ""
            data = make(number)
            changed = mutated(data, make(number + 5000), kind, chosen) if kind else data
            file = File(number, form, form.format(number), kind if changed != data else "")
            (whole / file.name).write_bytes(data)
            (damaged / file.name).write_bytes(changed)
            files.append(file)
    return files, whole, damaged


def clean(source: str, inputs: Path, out: Path) -> Result:
    """Runs the clean phase with only those steps that make texts."""
    steps: dict[str, object] = {step.NAME: False for step in SOURCES[source].steps if step.NAME not in _KEPT_STEPS}
    if source == "stack_exchange":
        steps["join"] = {"num_sites": 1_000_000}
    limits = {"max_bad_share": 1.0, "max_unreadable_share": 1.0}
    config = out.with_name(out.name + ".yaml")
    config.write_text(json.dumps({"sources": {source: steps}, "run": limits}))
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            status = run(["--config", str(config), f"--input={source}={inputs}", "--output", str(out), "--phase=clean",
                          "--direct_num_workers=1"])  # fmt: skip
        except Exception:  # whatever it is, it is what is looked for here
            traceback.print_exc(file=said)
            status = -1
    texts: dict[str, str] = {}
    named: list[str] = []
    if status == 0:
        table = ds.dataset(out / "clean" / source).to_table(columns=["id", "text"])
        texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
        rows = pq.read_table(out / "dropped" / source, columns=["id", "stage"]).to_pylist()
        named = [row["id"] for row in rows if row["stage"] == "records"]
    return Result(status, said.getvalue(), texts, "\n".join(named))


def faults(source: str, folder: Path, *, num_mutants: int, seed: int) -> tuple[int, list[str]]:
    """Returns the number of damaged files, and a list of messages about broken rules."""
    files, whole, damaged = write_files(source, folder, num_mutants=num_mutants, seed=seed)
    before, after = clean(source, whole, folder / "out-whole"), clean(source, damaged, folder / "out-damaged")
    num_damaged = sum(bool(file.kind) for file in files)
    if before.status or not before.texts:
        return num_damaged, [f"{source}: the sound files give no run: {before.output[-2000:]}"]
    if after.status not in (0, 1) or "Traceback" in after.output:
        return num_damaged, [f"{source}: status {after.status}: {after.output[-2000:]}"]
    if after.status:
        return num_damaged, [f"{source}: the run ended: {after.output[-1000:]}"]
    found = []
    for file in files:
        wanted = {i: t for i, t in before.texts.items() if mark(file.number) in t.lower()}
        if not wanted:
            found.append(f"{source}: {file.name}: no document of the whole file")
        here = {i: t for i, t in after.texts.items() if i in wanted or mark(file.number) in t.lower()}
        if here == wanted:
            continue
        if not file.kind:
            found.append(f"{source}: {file.name} is sound and gives other documents beside damaged files")
        elif file.name not in after.named and file.form not in WITHOUT_CHECKSUM:
            found.append(f"{source}: {file.name} ({file.kind}, seed {seed}, number {file.number}): "
                         f"{len(here)} of {len(wanted)} documents, and nothing in dropped/ names it")  # fmt: skip
    return num_damaged, found


def main(argv: Sequence[str] | None = None) -> int:
    """Cleans damaged input of every source. Returns 1 if a rule is broken, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--mutants", type=int, default=1500, help="of all sources together (default: 1500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sources", default=",".join(FORMS), help="with commas between (default: all)")
    parser.add_argument("--folder", type=Path, help="where files are kept (default: a temporary folder)")
    flags = parser.parse_args(argv)
    sources = flags.sources.split(",")
    num_forms = sum(len(FORMS[source]) for source in sources)
    folder = flags.folder or Path(tempfile.mkdtemp(prefix="mutants-"))
    all_faults: list[str] = []
    for source in sources:
        num_mutants = flags.mutants * len(FORMS[source]) // num_forms
        num_damaged, found = faults(source, folder / source, num_mutants=num_mutants, seed=flags.seed)
        print(f"{source}: {num_damaged} damaged files of {len(FORMS[source])} forms, {len(found)} faults", flush=True)
        for fault in found:
            print("  " + fault, flush=True)
        all_faults += found
    if not all_faults and flags.folder is None:
        shutil.rmtree(folder)
    elif all_faults:
        print(f"the files are below {folder}")
    return 1 if all_faults else 0


if __name__ == "__main__":
    sys.exit(main())
