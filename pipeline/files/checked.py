"""Writes and reads work files (files that one job writes and a later job reads) with checksums.

A file of the right size can still be damaged, so its content is checked. There are two formats. In a small file, the
first line is the checksum of all remaining lines. In an Arrow file, a column is divided into pieces: the lengths of its
entries, and their values. The metadata of each batch has one checksum per piece. So a reader can leave out a piece that
it does not use, for example the values of the token ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.files.files import is_local, open_file, read_bytes, write_bytes

_MARK = b"xxh3-128 "
_HEAD_BYTES = len(_MARK) + 32 + 1
_CHECKS, _NUMBER, _END = b"checks", b"number", b"end"


class DamagedFile(OSError):  # noqa: N818 - the name says what it is
    """Raised if a work file was changed after it was written. The message names the file and says how to make it
    again.
    """

    def __init__(self, path: str, fault: object, remedy: str = "delete it and run the same command again") -> None:
        super().__init__(f"{path} is damaged ({' '.join(str(fault).split())}); {remedy}")
        self._given = path, str(fault), remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return DamagedFile, self._given


def write_checked(path: str, data: bytes) -> None:
    """Writes a small file, either completely or not at all. The first line of the file is the checksum of ``data``."""
    write_bytes(path, _MARK + xxhash.xxh3_128_hexdigest(data).encode() + b"\n" + data)


def read_checked(path: str) -> bytes:
    """Returns the data that :func:`write_checked` wrote.

    Raises:
        DamagedFile: the checksum of the data is wrong.
    """
    stored = read_bytes(path)
    data = stored[_HEAD_BYTES:]
    if stored[:_HEAD_BYTES] != _MARK + xxhash.xxh3_128_hexdigest(data).encode() + b"\n":
        raise DamagedFile(path, "its checksum is wrong")
    return data


class CheckedBatches:
    """Writes an Arrow file whose batches have checksums. The last batch is empty and marks the end of the file."""

    def __init__(self, sink: Any, schema: pa.Schema, options: pa.ipc.IpcWriteOptions | None = None) -> None:
        self._schema = schema
        self._writer = pa.ipc.new_file(sink, schema, options=options)
        self._number = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Writes one batch. The batch's columns must be strings, binary values or lists of numbers, without nulls."""
        self._write(batch, {})

    def close(self, note: Mapping[str, Any] | None = None) -> None:
        """Ends the file, and stores ``note`` in it: JSON values by name. :func:`note_of` returns the note."""
        self._write(pa.RecordBatch.from_pylist([], schema=self._schema), {_END: json.dumps(dict(note or {})).encode()})
        self._writer.close()

    def _write(self, batch: pa.RecordBatch, also: dict[bytes, bytes]) -> None:
        checks = {name: _checksum(data, self._number, also) for name, data in _pieces(batch)}
        metadata = {_CHECKS: json.dumps(checks).encode(), _NUMBER: str(self._number).encode(), **also}
        self._writer.write_batch(batch, custom_metadata=metadata)
        self._number += 1


def checked_batches(path: str, *, unread: str = "", remedy: str) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a file that :class:`CheckedBatches` wrote. A file on this machine's disk is memory-mapped.

    Args:
        unread: the name of a piece of a column that the caller does not use, for example ``input_ids.values``. This
            piece is not checked.
        remedy: what the user should do about a damaged file.

    Raises:
        DamagedFile: a batch differs from what was written, or the file has too few or too many batches.
    """
    for batch, metadata in _with_metadata(path, unread, remedy):
        if _END not in metadata:
            yield batch


def note_of(path: str, *, remedy: str) -> dict[str, Any]:
    """Returns the note of a file: the JSON values that :meth:`CheckedBatches.close` stored in it. Checks the whole file
    first.
    """
    for _, metadata in _with_metadata(path, "", remedy):
        if _END in metadata:
            note: dict[str, Any] = json.loads(metadata[_END])
    return note


def _with_metadata(path: str, unread: str, remedy: str) -> Iterator[tuple[pa.RecordBatch, Mapping[bytes, bytes]]]:
    number, is_ended = 0, False
    try:
        with _opened(path) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                batch, metadata = reader.get_batch_with_custom_metadata(number)
                metadata = metadata or {}
                _check(path, batch, metadata, number, unread, remedy)
                is_ended = _END in metadata
                yield batch, metadata
    except DamagedFile:
        raise
    except FileNotFoundError as error:
        raise DamagedFile(path, "it is not there any more", remedy) from error
    except (pa.ArrowException, OSError) as error:
        raise DamagedFile(path, f"batch {number}: {str(error)[:200]}", remedy) from error
    if not is_ended:
        raise DamagedFile(path, "its end is missing", remedy)


def _opened(path: str) -> Any:
    return pa.memory_map(path) if is_local(path) else open_file(path)


def _check(
    path: str, batch: pa.RecordBatch, metadata: Mapping[bytes, bytes], number: int, unread: str, remedy: str
) -> None:
    also = {_END: metadata[_END]} if _END in metadata else {}
    try:
        batch.validate()
        expected = json.loads(metadata.get(_CHECKS, b"{}"))
        found = {name: _checksum(data, number, also) for name, data in _pieces(batch) if name != unread}
    except (ValueError, TypeError, AssertionError) as error:  # pa.ArrowInvalid is a ValueError
        raise DamagedFile(path, f"batch {number}: {str(error)[:200]}", remedy) from error
    if not isinstance(expected, dict) or found != {name: expected.get(name) for name in found}:
        raise DamagedFile(path, f"batch {number} has wrong checksums", remedy)


def _checksum(data: Any, number: int, also: Mapping[bytes, bytes]) -> str:
    digest = xxhash.xxh3_64(data, seed=number)
    digest.update(also.get(_END, b""))
    return digest.hexdigest()


def _pieces(batch: pa.RecordBatch) -> Iterator[tuple[str, Any]]:
    """Yields (name, content) for each piece of each column in a batch. The checksums are computed from the contents.

    The contents depend only on the rows of the batch. So a batch that is a slice of a larger batch has the same
    contents as a copy of this slice.
    """
    for field, column in zip(batch.schema, batch.columns, strict=True):
        assert not column.null_count, f"{field.name} has nulls"
        if pa.types.is_fixed_size_binary(column.type):
            width = column.type.byte_width
            start = column.offset * width
            yield f"{field.name} {field.type}", _slice(column.buffers()[1], start, start + len(column) * width)
            continue
        offsets = np.frombuffer(column.buffers()[1] or bytes(4), np.int32)[column.offset :][: len(column) + 1]
        assert len(offsets) == len(column) + 1, f"{field.name} has too few offsets"
        yield f"{field.name} {field.type} lengths", np.diff(offsets)
        if pa.types.is_list(column.type):
            values = column.values
            width = values.type.bit_width // 8
            start = values.offset
            yield (
                f"{field.name}.values",
                _slice(values.buffers()[1], (start + int(offsets[0])) * width, (start + int(offsets[-1])) * width),
            )
        else:
            yield f"{field.name}.values", _slice(column.buffers()[2], int(offsets[0]), int(offsets[-1]))


def _slice(buffer: pa.Buffer | None, start: int, end: int) -> Any:
    assert 0 <= start <= end <= (0 if buffer is None else buffer.size), "an offset outside its buffer"
    return b"" if buffer is None else memoryview(buffer)[start:end]
