"""``python -m mixtures.export --format FORMAT DIR TARGET``: writes the shards in the layouts of other trainers.

=========== ======================================== =================================================================
format      files of each output                     layout
=========== ======================================== =================================================================
megatron    ``NAME.bin``, ``NAME.idx``               Megatron-LM's indexed dataset, version 1: one sequence per document
                                                     (``megatron/core/datasets/indexed_dataset.py``)
datatrove   ``NAME.ds``, ``.ds.index``,              the ids; the end of each document (uint64, in tokens); as text,
            ``.ds.metadata``                         the tokenizer, the bytes per id and the number of tokens
                                                     (``pipeline/tokens/tokenizer.py``)
dolma       ``NAME.npy``, ``NAME.csv.gz``            the ids, without the header of a real ``.npy`` file; one line per
                                                     document with start, end, id, source and row
                                                     (``tokenizer/memmap_writer.py``)
mds         ``shard.NNNNN.mds``, ``index.json`` in   MosaicML streaming's MDS, version 2: a sample per document with
            the folder ``NAME``                      ``doc_id``, ``source`` and ``tokens``; see `mixtures.export.mds`
arrayrecord ``NAME.arrayrecord``                     a record per document, a ``tf.train.Example`` with the ids in
                                                      ``text``; see `mixtures.export.arrayrecord`
=========== ======================================== =================================================================

Ids are little-endian, uint16 or uint32 as in the shards. Megatron has no uint32, so it gets int32. The documents are in
the order of the shards, so they are already shuffled. A file gets its final name only when it is complete. The index is
written last.
"""

from __future__ import annotations

import csv
import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

from mixtures.export.arrayrecord import write_arrayrecord
from mixtures.export.files import Output, WholeFiles, batches, little
from mixtures.export.formats import WITH_ONE_INDEX, Format
from mixtures.export.mds import write_mds
from mixtures.manifest import read_manifest, shard_infos, tokenizer_name, validation_infos
from mixtures.shards import ShardInfo
from mixtures.storage import LocalStorage
from mixtures.stream import check_shard, check_sizes, check_sum
from tokenizer.encode import id_dtype

_MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
_MEGATRON_CODES = {"uint16": 8, "int32": 4}
_COUNT_ROWS = 1 << 20


def export(
    folder: str | Path,
    target: str | Path,
    form: Format,
    *,
    validation_source: str | None = None,
    shards_per_file: int | None = None,
) -> list[Path]:
    """Writes a run's shards into the folder ``target`` in another trainer's layout. Returns the written files.

    Args:
        folder: the run's output folder.
        form: one of :data:`mixtures.export.formats.FORMATS`.
        validation_source: if given, the held-out documents of this source are exported instead of the training stream.
        shards_per_file: number of shards that share one set of files with one index. The default is one shard. For
            megatron and mds, the default is all shards, because their readers open a single index.

    Raises:
        ValueError: a shard is missing, damaged or from another run, or there is nothing to export.
    """
    storage = LocalStorage(Path(folder))
    manifest = read_manifest(storage)
    kind, infos = _wanted(manifest, validation_source)
    if shards_per_file is not None and shards_per_file < 1:
        raise ValueError(f"shards_per_file {shards_per_file} is not a positive number")
    check_sizes(storage, infos)
    for info in infos:
        check_shard(storage, info, manifest)
        check_sum(storage, info)
    size = shards_per_file or (len(infos) if form in WITH_ONE_INDEX else 1)
    num_outputs = -(-len(infos) // size)
    Path(target).mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for number in range(num_outputs):
        one = Output(
            name=kind if num_outputs == 1 else f"{kind}-{number:05d}-of-{num_outputs:05d}",
            shards=tuple(infos[number * size : (number + 1) * size]),
            dtype=id_dtype(manifest["tokenizer"]["vocab_size"]),
            tokenizer=tokenizer_name(manifest),
        )
        written += _WRITERS[form](storage, one, Path(target))
    return written


def _wanted(manifest: dict[str, Any], validation_source: str | None) -> tuple[str, list[ShardInfo]]:
    if validation_source is None:
        return "train", shard_infos(manifest)
    held = validation_infos(manifest)
    if validation_source not in held:
        there = ", ".join(sorted(held)) or "nothing"
        raise ValueError(f"the run holds no validation documents of {validation_source}, but of {there}")
    return f"validation-{validation_source}", held[validation_source]


def _megatron(storage: LocalStorage, one: Output, target: Path) -> list[Path]:
    dtype = one.dtype if one.dtype == np.uint16 else np.dtype(np.int32)
    files = WholeFiles([target / f"{one.name}.bin", target / f"{one.name}.idx"])
    with files as (data, index):
        index.write(_MEGATRON_MAGIC + struct.pack("<QB", 1, _MEGATRON_CODES[dtype.name]))
        index.write(struct.pack("<QQ", one.rows, one.rows + 1))
        lengths_at = index.tell()
        rows = 0
        for _, ids, lengths in batches(storage, one):
            data.write(little(ids.astype(dtype, copy=False)))
            index.write(little(lengths.astype(np.int32)))
            rows += len(lengths)
        assert rows == one.rows, f"{one.name}: {rows} documents, {one.rows} in the manifest"
        begin = 0
        for first in range(0, rows, _COUNT_ROWS):  # reads the lengths back, because memory may be too small
            num_rows = min(_COUNT_ROWS, rows - first)
            index.seek(lengths_at + 4 * first)
            lengths = np.frombuffer(index.read(4 * num_rows), "<i4").astype(np.int64)
            ends = begin + np.cumsum(lengths) * dtype.itemsize
            index.seek(lengths_at + 4 * rows + 8 * first)
            index.write(little(ends - lengths * dtype.itemsize))
            begin = int(ends[-1])
        index.seek(lengths_at + 12 * rows)
        for first in range(0, rows + 1, _COUNT_ROWS):
            index.write(little(np.arange(first, min(first + _COUNT_ROWS, rows + 1), dtype=np.int64)))
    return files.paths


def _datatrove(storage: LocalStorage, one: Output, target: Path) -> list[Path]:
    name = f"{one.name}.ds"
    files = WholeFiles([target / name, target / f"{name}.index", target / f"{name}.metadata"])
    with files as (data, index, metadata):
        end = 0
        for _, ids, lengths in batches(storage, one):
            data.write(little(ids))
            index.write(little((end + np.cumsum(lengths)).astype(np.uint64)))
            end += len(ids)
        metadata.write(f"{one.tokenizer}|{one.dtype.itemsize}\n{end}\n{_human(end)}".encode())
    return files.paths


def _dolma(storage: LocalStorage, one: Output, target: Path) -> list[Path]:
    files = WholeFiles([target / f"{one.name}.npy", target / f"{one.name}.csv.gz"])
    with files as (data, packed), gzip.GzipFile("", "wb", 6, packed, mtime=0) as unpacked:
        # The gzip header has no name and time, so equal shards give equal files.
        text = io.TextIOWrapper(unpacked, encoding="utf-8", newline="")
        rows, begin, number = csv.writer(text), 0, 0
        for batch, ids, lengths in batches(storage, one):
            data.write(little(ids))
            ends = (begin + np.cumsum(lengths, dtype=np.int64)).tolist()
            named = batch.column("doc_id").to_pylist(), batch.column("source").to_pylist()
            numbers = range(number, number + len(ends))
            rows.writerows(zip([begin, *ends[:-1]], ends, *named, numbers, strict=True))
            begin, number = begin + len(ids), number + len(ends)
        text.flush()
        text.detach()
    return files.paths


_WRITERS = {
    "megatron": _megatron,
    "datatrove": _datatrove,
    "dolma": _dolma,
    "mds": write_mds,
    "arrayrecord": write_arrayrecord,
}


def _human(num_tokens: int) -> str:
    """Returns a number of tokens in a short form. For example, KT stands for thousands of tokens.

    >>> _human(1_234), _human(1_400_000_000_000)
    ('1.23 KT', '1.40 TT')
    """
    number, unit = float(num_tokens), ""
    for unit in ("", "K", "M", "G", "T"):
        if number < 1_000 or unit == "T":
            break
        number /= 1_000
    return f"{number:.2f} {unit}T"
