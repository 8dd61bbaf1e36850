"""Writes documents in MosaicML streaming's MDS format, version 2, which ``StreamingDataset`` reads.

The layout is that of ``streaming/base/format/mds/writer.py``. A shard contains the number of samples, the offset of
each sample (uint32), the columns as JSON, and the samples. A sample contains the size of each value (uint32), then the
values. ``index.json`` is written last, because ``StreamingDataset`` needs it to find the shards.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from mixtures.export.files import Output, WholeFiles, batches, little
from mixtures.storage import LocalStorage

SHARD_BYTES = 1 << 26
"""Largest size of the samples in a shard, in bytes (MDSWriter's default). A larger document gets its own shard."""


def write_mds(storage: LocalStorage, one: Output, target: Path) -> list[Path]:
    """Writes documents in MDS format into the folder ``one.name`` in ``target``. Returns the paths of the files.

    Each document is one sample with the columns ``doc_id``, ``source`` and ``tokens``.
    """
    folder = target / one.name
    folder.mkdir(exist_ok=True)
    config = {
        "version": 2,
        "format": "mds",
        "compression": None,
        "hashes": [],
        "size_limit": SHARD_BYTES,
        "column_names": ["doc_id", "source", "tokens"],
        "column_encodings": ["str", "str", f"ndarray:{one.dtype.name}"],
        "column_sizes": [None, None, None],
    }
    shards: list[dict[str, Any]] = []
    paths: list[Path] = []
    waiting: list[bytes] = []
    size = 0

    def flush() -> None:
        nonlocal waiting, size
        path = folder / f"shard.{len(shards):05d}.mds"
        data = _shard(waiting, config)
        with WholeFiles([path]) as (file,):
            file.write(data)
        raw = {"basename": path.name, "bytes": len(data), "hashes": {}}
        shards.append({"samples": len(waiting), "raw_data": raw, "zip_data": None, **config})
        paths.append(path)
        waiting, size = [], 0

    for batch, ids, lengths in batches(storage, one):
        ends = np.cumsum(lengths)
        names = batch.column("doc_id").to_pylist(), batch.column("source").to_pylist()
        for doc_id, source, end, length in zip(*names, ends.tolist(), lengths.tolist(), strict=True):
            sample = _sample(doc_id, source, ids[end - length : end])
            if waiting and size + len(sample) + 4 > SHARD_BYTES:
                flush()
            waiting.append(sample)
            size += len(sample) + 4
    if waiting:
        flush()
    index = folder / "index.json"
    with WholeFiles([index]) as (file,):
        file.write(json.dumps({"version": 2, "shards": shards}, sort_keys=True).encode())
    return [*paths, index]


def _sample(doc_id: str, source: str, ids: np.ndarray[Any, Any]) -> bytes:
    """Encodes one sample. The value ``tokens`` begins with a byte that gives the number of axes (1) and the width of
    the length. The length and the ids follow."""
    code = next(code for code in range(4) if len(ids) < 1 << (8 << code))
    shape = len(ids).to_bytes(1 << code, "little")
    values = (doc_id.encode(), source.encode(), bytes([1 << 2 | code]) + shape + bytes(little(ids)))
    return struct.pack("<3I", *map(len, values)) + b"".join(values)


def _shard(samples: list[bytes], config: dict[str, Any]) -> bytes:
    columns = json.dumps(config, sort_keys=True).encode()
    begin = 4 + 4 * (len(samples) + 1) + len(columns)
    begins = np.cumsum([begin, *map(len, samples)]).astype("<u4")
    return struct.pack("<I", len(samples)) + begins.tobytes() + columns + b"".join(samples)
