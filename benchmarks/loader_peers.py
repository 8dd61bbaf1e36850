"""Reads tokens with other systems, for ``benchmarks/loader.py``. Some systems first write the tokens in their format.

Every function yields int64 batches of BATCH sequences of SEQ_LEN + 1 tokens. If a system is not installed, its function
raises ImportError.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SEQ_LEN, BATCH = 2_048, 64
_WIDTH = SEQ_LEN + 1
_CHUNK_ROWS = 4_000


def memory_map(raw: Path) -> Iterator[Any]:
    ids = np.memmap(raw, np.uint16, "r")
    for first in range(0, len(ids) - BATCH * _WIDTH, BATCH * _WIDTH):
        yield ids[first : first + BATCH * _WIDTH].reshape(BATCH, _WIDTH).astype(np.int64)


def shuffled_memory_map(raw: Path) -> Iterator[Any]:
    """Yields the sequences of a memory map in a random order. The order is computed before the first batch."""
    ids = np.memmap(raw, np.uint16, "r")
    rows = np.random.default_rng(1).permutation((len(ids) - 1) // SEQ_LEN) * SEQ_LEN
    for first in range(0, len(rows) - BATCH, BATCH):
        out = np.empty((BATCH, _WIDTH), np.int64)
        for row, at in zip(out, rows[first : first + BATCH].tolist(), strict=True):
            row[:] = ids[at : at + _WIDTH]
        yield out


def datasets_rows(shards: Path) -> Iterator[Any]:
    from datasets import load_dataset

    files = sorted(map(str, shards.iterdir()))
    rows = load_dataset("arrow", data_files=files, split="train").with_format("numpy", columns=["input_ids"])
    yield from packed(row["input_ids"] for row in rows)


def datasets_batches(shards: Path) -> Iterator[Any]:
    from datasets import load_dataset

    files = sorted(map(str, shards.iterdir()))
    rows = load_dataset("arrow", data_files=files, split="train").with_format("arrow", columns=["input_ids"])
    tables = rows.iter(batch_size=1_000)
    yield from packed(t["input_ids"].combine_chunks().flatten().to_numpy() for t in tables)


def packed(pieces: Iterator[Any]) -> Iterator[Any]:
    """Yields batches of the ids in ``pieces``, cut into sequences of SEQ_LEN + 1 ids.

    Neighbouring sequences do not overlap. An overlap of one token, as real training needs it, would take more time.
    """
    size = BATCH * _WIDTH
    out, filled = np.empty(size, np.int64), 0
    for piece in pieces:
        while len(piece):
            take = min(size - filled, len(piece))
            out[filled : filled + take] = piece[:take]
            piece, filled = piece[take:], filled + take
            if filled == size:
                yield out.reshape(BATCH, _WIDTH)
                out, filled = np.empty(size, np.int64), 0


def datatrove(exported: Path, *, positions: bool) -> Iterator[Any]:
    import torch
    from datatrove.utils.dataset import DatatroveFileDataset

    for path in sorted(exported.glob("*.ds")):
        data = DatatroveFileDataset(str(path), SEQ_LEN, token_size=2, return_positions=positions)
        for first in range(0, len(data) - BATCH, BATCH):
            yield torch.stack([data[i]["input_ids"] for i in range(first, first + BATCH)]).numpy()


def streaming(raw: Path, mds: Path) -> Iterator[Any]:
    """Yields batches of mosaicml-streaming's shuffled samples. Each sample is a sequence that was packed beforehand."""
    from streaming import MDSWriter, StreamingDataset

    if not mds.exists():
        with MDSWriter(out=str(mds), columns={"ids": "ndarray:uint16"}) as writer:
            for row in _sequences(raw):
                writer.write({"ids": row})
    data = StreamingDataset(local=str(mds), shuffle=True, batch_size=BATCH)
    yield from _stacked(sample["ids"] for sample in data)


def litdata(raw: Path, target: Path) -> Iterator[Any]:
    """Yields batches of litdata's shuffled blocks. A block is a sequence of SEQ_LEN + 1 tokens. Neighbouring blocks
    share no token.
    """
    from litdata import StreamingDataset, TokensLoader, optimize

    if not target.exists():
        num_chunks = len(np.memmap(raw, np.uint16, "r")) // (_CHUNK_ROWS * _WIDTH)
        optimize(
            _Chunks(raw),
            list(range(num_chunks)),
            str(target),
            chunk_size=_CHUNK_ROWS * _WIDTH,
            item_loader=TokensLoader(),
            num_workers=1,
            verbose=False,
        )
    yield from _stacked(iter(StreamingDataset(str(target), item_loader=TokensLoader(_WIDTH), shuffle=True)))


class _Chunks:
    """When called, yields the tokens of one chunk. It is a class and not a closure, because litdata pickles it for a
    separate process.
    """

    def __init__(self, raw: Path) -> None:
        self._raw = raw

    def __call__(self, index: int) -> Iterator[Any]:
        size = _CHUNK_ROWS * _WIDTH
        yield np.array(np.memmap(self._raw, np.uint16, "r")[index * size : (index + 1) * size])


def grain_arrayrecord(raw: Path, target: Path) -> Iterator[Any]:
    """Reads an ArrayRecord file with Grain, and yields its records in batches, shuffled. Each record is a sequence that
    was packed beforehand.
    """
    import grain
    from array_record.python.array_record_module import ArrayRecordWriter

    if not target.exists():
        writer = ArrayRecordWriter(str(target), "group_size:1")
        for row in _sequences(raw):
            writer.write(row.tobytes())
        writer.close()
    source = grain.sources.ArrayRecordDataSource([str(target)])
    data = grain.MapDataset.source(source).shuffle(seed=1).map(_ids_of).batch(BATCH)
    for number in range(len(data) - 1):
        yield data[number]


def _ids_of(record: bytes) -> Any:
    return np.frombuffer(record, np.uint16).astype(np.int64)


def _sequences(raw: Path) -> Iterator[Any]:
    ids = np.memmap(raw, np.uint16, "r")
    for first in range(0, len(ids) - SEQ_LEN, SEQ_LEN):
        yield np.asarray(ids[first : first + _WIDTH])


def _stacked(rows: Iterator[Any]) -> Iterator[Any]:
    waiting: list[Any] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == BATCH:
            yield np.stack(waiting).astype(np.int64)
            waiting = []
