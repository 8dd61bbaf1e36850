"""Contains the classes that the writers of `mixtures.export` share: an output with its documents, and files that get
their final names when all of them are complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa

from mixtures.shards import ShardInfo, read_batches
from mixtures.storage import LocalStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Describes a set of output files with one name, and lists the shards to write into these files, in order."""

    name: str
    shards: tuple[ShardInfo, ...]
    dtype: np.dtype[Any]
    """Data type of the ids in the shards."""
    tokenizer: str
    """Name of the tokenizer's file."""

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def tokens(self) -> int:
        return sum(shard.tokens for shard in self.shards)


def batches(storage: LocalStorage, one: Output) -> Iterator[tuple[pa.RecordBatch, np.ndarray[Any, Any], Any]]:
    """Yields three values for each record batch: the batch, its ids as one flat array, and the number of tokens of each
    document."""
    for info in one.shards:
        with storage.map(info) as mapped:
            reader = pa.ipc.open_file(mapped)
            for batch in read_batches(reader):
                ids = batch.column("input_ids")
                offsets = ids.offsets.to_numpy()
                yield batch, ids.values.to_numpy()[offsets[0] : offsets[-1]], np.diff(offsets)


class WholeFiles:
    """Opens files under temporary names and renames them, in the given order, once all of them are complete.

    The files are complete when the ``with`` block ends. If the block raises an exception, the temporary files are
    deleted.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self._temporary = [path.with_name(f".{path.name}.tmp") for path in paths]
        self._stack = ExitStack()

    def __enter__(self) -> list[BinaryIO]:
        return [cast(BinaryIO, self._stack.enter_context(path.open("w+b"))) for path in self._temporary]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()
        for temporary, path in zip(self._temporary, self.paths, strict=True):
            if kind is None:
                temporary.replace(path)
            else:
                temporary.unlink(missing_ok=True)


def little(array: np.ndarray[Any, Any]) -> Any:
    """Returns the array's bytes in little-endian order, without a copy where possible."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data
