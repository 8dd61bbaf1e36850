"""Finds near-duplicate pairs for the sources whose near dedup writes no files in ``dedup/``, such as books.

The pairs are read from ``dropped/``. There, the row of a removed document names the kept document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.parquet_rows import DAMAGE, open_parquet, whole_batches
from mixtures.stream import one_line

_NEAR = "near_duplicate"
"""The reason for which a near dedup drops a document."""
_COLUMNS = ["id", "source", "reason", "stage", "detail", "signals"]


def sources_of(output: Path) -> list[str]:
    """Returns the names of the sources that have clean or dropped documents in an output."""
    folders = (output / name for name in ("clean", "dropped"))
    return sorted({one.name for folder in folders if folder.is_dir() for one in folder.iterdir() if one.is_dir()})


def dropped_pairs(output: Path, source: str | None, names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Yields lists of near-duplicate pairs: a removed and a kept document. Skips sources that have files in ``dedup/``.

    Each pair is a dict with the same keys as the columns of those files. The Jaccard similarity and the number of
    shared n-grams are None, because ``dropped/`` does not have them.

    Args:
        source: the source of the removed documents; None for all sources in ``names``.
    """
    for name in names:
        has_files = any(next((output / "dedup").glob(f"pairs-{name}{end}"), None) for end in ("-*", "@*"))
        if source in (None, name) and not has_files:
            for path in sorted((output / "dropped" / name).glob("*.parquet")):
                yield from map(_pairs, batches_of(path, _COLUMNS))


def batches_of(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a Parquet file. Raises ValueError if the file is damaged."""
    try:
        with open_parquet(path) as file:
            yield from whole_batches(file, batch_size=1024, columns=columns)
    except DAMAGE as error:
        raise ValueError(f"{path} is not a readable Parquet file: {one_line(error)}") from error


def _pairs(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    is_near = pc.fill_null(pc.equal(batch.column("reason"), _NEAR), fill_value=False)
    return [
        {
            "removed_id": row["id"],
            "removed_source": row["source"],
            "kept_id": row["detail"],
            "kept_source": row["source"],
            "overlap": next((one["value"] for one in row["signals"] if one["name"] == "overlap"), 0.0),
            "jaccard": None,
            "step": row["stage"],
            "num_shared": None,
            "kept_output": "",
        }
        for row in batch.filter(is_near).to_pylist()
    ]
