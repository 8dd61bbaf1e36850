"""Finds a document that was looked up by its id, but is not in the shards. Says which folder of the output has it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.parquet_rows import DAMAGE, open_parquet, whole_batches

MAX_SCANNED_BYTES = 2_000_000_000
"""The largest size of a folder that is searched. Ours: only the ids are read, which takes a few seconds for such a
folder. For a larger folder, the message says how to search it."""
_MEANING = {"clean": "it was kept, but is not in the stream", "dropped": "it was dropped"}


def where_else(paths: Sequence[str], doc_id: str | None) -> str:
    """Returns the end of a message: which folder of an output has the document, with the command that shows it. Returns
    an empty text if no id was given, or if no path is an output with ``clean/`` or ``dropped/``.
    """
    folders = [Path(path, name) for path in paths for name in _MEANING if Path(path, name).is_dir()]
    if doc_id is None or not folders:
        return ""
    unsearched = []
    for folder in folders:
        has = _has(folder, doc_id)
        if has:
            return f"; {_MEANING[folder.name]}: {_command(folder, doc_id)}"
        if has is None:
            unsearched.append(folder)
    if unsearched:
        return "; it may be here: " + " or ".join(_command(folder, doc_id) for folder in unsearched)
    return f", nor of {' and '.join(str(folder) for folder in folders)}"


def _command(folder: Path, doc_id: str) -> str:
    return f"python -m mixtures.inspect {shlex.quote(str(folder))} --id {shlex.quote(doc_id)}"


def _has(folder: Path, doc_id: str) -> bool | None:
    """True if a file in the folder has the document. None if this is not known: the folder is too large, or a file
    cannot be read.
    """
    files = sorted(folder.rglob("*.parquet"))
    if sum(path.stat().st_size for path in files) > MAX_SCANNED_BYTES:
        return None
    is_readable = True
    for path in files:
        try:
            if _is_in(path, doc_id):
                return True
        except DAMAGE:
            is_readable = False
    return False if is_readable else None


def _is_in(path: Path, doc_id: str) -> bool:
    with open_parquet(path) as file:
        if "id" not in file.schema_arrow.names:
            return False
        batches = whole_batches(file, batch_size=65_536, columns=["id"])
        return any(pc.any(pc.equal(batch.column("id"), pa.scalar(doc_id))).as_py() for batch in batches)
