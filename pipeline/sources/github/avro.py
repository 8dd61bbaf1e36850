"""Reads Avro files block by block.

An Avro file consists of blocks of records, with a sync marker after each block. This module reads and unpacks the
blocks. The library fastavro then decodes the records of a block. fastavro could also read the blocks, but it has no
limit on the size of an unpacked block, and it stops at the first damaged block. This module limits the size. After a
damaged block, it continues at the next sync marker.

The supported codecs are none, deflate (BigQuery's ``DEFLATE``), snappy and zstandard.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import fastavro
import pyarrow as pa
import zstandard

MAGIC = b"Obj\x01"
MAX_STORED_BLOCK_BYTES = 256 << 20
MAX_BLOCK_BYTES = 512 << 20
"""The largest number of bytes of an unpacked block. Our choice: BigQuery writes blocks of about 64 kB, and a row on
BigQuery has at most 100 MB.
"""
_HEADER_SCHEMA = {
    "type": "record",
    "name": "header",
    "fields": [
        {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": 4}},
        {"name": "meta", "type": {"type": "map", "values": "bytes"}},
        {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": 16}},
    ],
}
_PIECE_BYTES = 1 << 20

_DECODE_ERRORS = (EOFError, IndexError, KeyError, OverflowError, TypeError, ValueError, MemoryError)
"""The exceptions that fastavro raises if bytes do not fit the schema."""


class AvroError(ValueError):
    """Describes a damaged block or file. It is raised or yielded."""


def avro_columns(file: BinaryIO) -> list[str]:
    """Returns the names of the columns. Raises AvroError if the file has no Avro header, or a schema without names."""
    schema, _, _ = _header(file)
    try:
        return [str(field["name"]) for field in schema.get("fields", ())]
    except (AttributeError, KeyError, TypeError) as error:
        raise AvroError("the schema in the header is damaged") from error


def avro_rows(file: BinaryIO) -> Iterator[dict[str, Any] | AvroError]:
    """Yields the rows of a file, and an AvroError for each block that was lost.

    Raises AvroError if there is no header.
    """
    raw, codec, sync = _header(file)
    schema = fastavro.parse_schema(raw)
    while file.read(1):
        file.seek(-1, io.SEEK_CUR)
        start = file.tell()
        try:
            num_rows, data = _block(file, codec, sync)
            stream = io.BytesIO(data)
            for _ in range(num_rows):
                yield fastavro.schemaless_reader(stream, schema, None)
        except (AvroError, *_DECODE_ERRORS) as error:
            yield AvroError(f"block at byte {start}: {str(error) or type(error).__name__}"[:300])
            if not _seek_behind(file, sync, start + 1):
                return


def _header(file: BinaryIO) -> tuple[dict[str, Any], str, bytes]:
    if file.read(len(MAGIC)) != MAGIC:
        raise AvroError("does not begin as an Avro file does")
    file.seek(0)
    try:
        header: Any = fastavro.schemaless_reader(file, _HEADER_SCHEMA, None)
        schema = json.loads(header["meta"]["avro.schema"])
        codec = header["meta"].get("avro.codec", b"null").decode("ascii")
    except _DECODE_ERRORS as error:
        raise AvroError(f"no whole Avro header: {error!r}"[:300]) from error
    if not isinstance(schema, dict):
        raise AvroError("the schema is no record")
    return schema, codec, header["sync"]


def _block(file: BinaryIO, codec: str, sync: bytes) -> tuple[int, bytes]:
    num_rows, num_bytes = _long(file), _long(file)
    if num_rows < 0 or not 0 <= num_bytes <= MAX_STORED_BLOCK_BYTES:
        raise AvroError(f"{num_rows} rows in {num_bytes} bytes")
    stored = file.read(num_bytes)
    if len(stored) < num_bytes or file.read(len(sync)) != sync:
        raise AvroError("cut or without its sync marker")
    data = _unpacked(stored, codec)
    if num_rows > len(data) + 1:
        raise AvroError(f"{num_rows} rows in {len(data)} bytes")
    return num_rows, data


def _long(file: BinaryIO) -> int:
    """Reads a number in Avro's encoding (zigzag, variable length)."""
    value, shift = 0, 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise AvroError("cut inside a number")
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)


def _unpacked(stored: bytes, codec: str) -> bytes:
    try:
        if codec == "null":
            return stored
        if codec == "deflate":
            unpacker = zlib.decompressobj(-15)
            data = unpacker.decompress(stored, MAX_BLOCK_BYTES)
            if unpacker.unconsumed_tail:
                raise AvroError(f"unpacks to over {MAX_BLOCK_BYTES} bytes")
            return data
        if codec == "snappy":
            return _unsnapped(stored)
        if codec == "zstandard":
            return zstandard.ZstdDecompressor().stream_reader(stored).read(MAX_BLOCK_BYTES)
    except (zlib.error, zstandard.ZstdError, OSError, pa.ArrowException) as error:
        raise AvroError(str(error)) from error
    raise AvroError(f"codec {codec} is not known here (null, deflate, snappy, zstandard)")


def _unsnapped(stored: bytes) -> bytes:
    """Unpacks a Snappy block. The data begin with their unpacked size. Four bytes of CRC-32 follow the data."""
    size = shift = 0
    for byte in stored[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > MAX_BLOCK_BYTES:
        raise AvroError(f"unpacks to over {MAX_BLOCK_BYTES} bytes")
    data: bytes = pa.Codec("snappy").decompress(stored[:-4], decompressed_size=size, asbytes=True)
    if zlib.crc32(data) != int.from_bytes(stored[-4:], "big"):
        raise AvroError("the checksum is wrong")
    return data


def _seek_behind(file: BinaryIO, sync: bytes, offset: int) -> bool:
    """Searches for a sync marker from ``offset`` on. Moves the file to the byte after it. Returns False if there is no
    marker.
    """
    file.seek(offset)
    window = b""
    while piece := file.read(_PIECE_BYTES):
        window += piece
        at = window.find(sync)
        if at >= 0:
            file.seek(offset + at + len(sync))
            return True
        kept = min(len(window), len(sync) - 1)
        offset += len(window) - kept
        window = window[len(window) - kept :]
    return False
