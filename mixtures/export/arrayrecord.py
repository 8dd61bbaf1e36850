"""Writes documents as ArrayRecord files of ``tf.train.Example``, the format that MaxText's Grain input reads.

Each example stores the ids as an int64 list in the feature ``text``. It stores ``doc_id`` and ``source`` as bytes. In
MaxText, set ``dataset_type: grain``, ``grain_file_type: arrayrecord`` and ``tokenize_train_data: False``. This module
needs the package ``array-record``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mixtures.export.files import Output, batches
from mixtures.storage import LocalStorage
from tokenizer.model_file import encode_field

_LEN = 2
"""Protobuf's wire type for messages, text and packed numbers."""
_BYTES_LIST, _INT64_LIST = 1, 3
"""Numbers of the fields ``bytes_list`` and ``int64_list`` of ``tf.train.Feature``."""


def write_arrayrecord(storage: LocalStorage, one: Output, target: Path) -> list[Path]:
    """Writes ``{one.name}.arrayrecord`` with one record per document. Returns a list with the path of this file.

    ArrayRecord compresses records in groups. Here each group has one record, so that records can be read in any order.

    Raises:
        ValueError: the package ``array-record`` is not installed.
    """
    try:
        from array_record.python.array_record_module import ArrayRecordWriter
    except ImportError as error:
        raise ValueError("ArrayRecord files are written by its own package: pip install array-record") from error
    path = target / f"{one.name}.arrayrecord"
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        writer = ArrayRecordWriter(str(temporary), "group_size:1")
        for batch, ids, lengths in batches(storage, one):
            names = batch.column("doc_id").to_pylist(), batch.column("source").to_pylist()
            ends = np.cumsum(lengths).tolist()
            for doc_id, source, end, length in zip(*names, ends, lengths.tolist(), strict=True):
                writer.write(example(doc_id, source, ids[end - length : end]))
        writer.close()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return [path]


def example(doc_id: str, source: str, ids: np.ndarray[Any, Any]) -> bytes:
    """Returns one document as a serialized ``tf.train.Example``.

    In the example, the last six of the printed bytes are the text ``doc_id``, the name of the first feature.

    >>> example("a", "c4", np.array([1, 300], np.uint16)).hex()[:24]
    '0a340a0f0a06646f635f6964'
    """
    features = (
        ("doc_id", _BYTES_LIST, doc_id.encode()),
        ("source", _BYTES_LIST, source.encode()),
        ("text", _INT64_LIST, _varints(ids)),
    )
    entries = b"".join(
        encode_field(
            1,
            _LEN,
            encode_field(1, _LEN, name.encode())
            + encode_field(2, _LEN, encode_field(kind, _LEN, encode_field(1, _LEN, value))),
        )
        for name, kind, value in features
    )
    return encode_field(1, _LEN, entries)


def _varints(ids: np.ndarray[Any, Any]) -> bytes:
    """Encodes the ids as protobuf varints.

    Each byte stores seven bits of the id, the lowest bits first. Its highest bit is 1 if more bytes follow.
    """
    wide = ids.astype(np.uint64)[:, None] >> np.arange(0, 35, 7, dtype=np.uint64)
    is_there = wide > 0
    is_there[:, 0] = True
    more = np.zeros_like(is_there)
    more[:, :-1] = is_there[:, 1:]
    return bytes(((wide & np.uint64(0x7F)).astype(np.uint8) | more.astype(np.uint8) << 7)[is_there].tobytes())
