"""Reads documents from ``clean/`` and ``dropped/``, to show them like documents of shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.inspect.documents import ShownDocument, Wanted
from mixtures.parquet_rows import DAMAGE, check_schema, open_parquet, whole_batches
from mixtures.stream import one_line

_BATCH_ROWS = 64
_NEEDED = {"id", "text"}


def parquet_documents(path: Path, wanted: Wanted) -> Iterator[ShownDocument]:
    """Yields the wanted documents in a file from ``clean/`` or ``dropped/``.

    Raises:
        ValueError: the file is damaged, or is not a file of documents.
    """
    try:
        with open_parquet(path) as file:
            check_schema(file)
            missing = sorted(_NEEDED - set(file.schema_arrow.names))
            if not missing:
                yield from _documents(path, file, wanted)
    except DAMAGE as error:
        raise ValueError(f"{path} is not a readable Parquet file: {one_line(error)}") from error
    if missing:
        raise ValueError(f"{path} holds no documents: it has no column {', '.join(missing)}")


def _documents(path: Path, file: Any, wanted: Wanted) -> Iterator[ShownDocument]:
    if wanted.epoch is not None:
        return  # only documents of a mixture have an epoch
    if wanted.is_dropped and not {"stage", "reason"} <= set(file.schema_arrow.names):
        return  # documents of clean/
    before = 0
    columns = [
        name for name in ("id", "text", "source", "stage", "reason", "detail") if name in file.schema_arrow.names
    ]
    for batch in whole_batches(file, batch_size=_BATCH_ROWS, columns=columns):
        for row in _rows(batch, wanted):
            one = {name: batch.column(name)[row].as_py() for name in columns}
            text = one["text"] or ""
            if wanted.is_in(text):
                yield ShownDocument(
                    shard=str(path),
                    row=before + row,
                    source=one.get("source") or path.parent.name,
                    doc_id=one["id"],
                    text=text,
                    note=_note(one),
                    dropped={name: one[name] for name in ("stage", "reason", "detail") if name in one},
                )
        before += len(batch)


def _rows(batch: pa.RecordBatch, wanted: Wanted) -> list[int]:
    mask = pa.array([True] * len(batch))
    if wanted.source is not None and "source" in batch.schema.names:
        mask = pc.and_(mask, pc.equal(batch.column("source"), wanted.source))
    for name, value in (("id", wanted.doc_id), ("stage", wanted.stage), ("reason", wanted.reason)):
        if value is not None:
            mask = pc.and_(mask, pc.equal(batch.column(name), value))
    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found


def _note(one: dict[str, Any]) -> str:
    """Returns the reason why a document was dropped; empty if it was kept."""
    if "reason" not in one:
        return ""
    detail = f" ({one['detail']})" if one.get("detail") else ""
    kept = "" if one["text"] is not None else ", its text is not in the sample"
    return f"dropped by {one.get('stage')}: {one['reason']}{detail}{kept}"
