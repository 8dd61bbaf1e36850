"""Writes the container files in which sources are published. Equal content gives equal bytes, because the order and all
times are fixed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import py7zr

FIXED_TIME = 1_577_836_800
"""The modification time in all containers that store one: 1 January 2020, in seconds since the epoch."""


def write(path: Path, data: bytes) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def gz(data: bytes) -> bytes:
    """Returns one gzip member without a time stamp."""
    return gzip.compress(data, compresslevel=6, mtime=0)


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Returns one JSON object per line, in UTF-8."""
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def tar(members: Sequence[tuple[str, bytes]], *, compress: bool = False) -> bytes:
    """Returns a tar with the members (name, content) in the given order. If ``compress`` is true, the tar is
    gzipped.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), FIXED_TIME, 0o644
            archive.addfile(info, io.BytesIO(content))
    return gz(buffer.getvalue()) if compress else buffer.getvalue()


def seven_zip(path: Path, name: str, content: bytes) -> None:
    """Writes a .7z with one member. py7zr takes times only from files on disk, so the member is first written to a
    file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    member = path.with_suffix(".member")
    member.write_bytes(content)
    member.chmod(0o644)
    os.utime(member, (FIXED_TIME, FIXED_TIME))
    path.unlink(missing_ok=True)
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.write(member, name)
    member.unlink()


def pick(key: str, among: int) -> int:
    """Returns a number from 0 to ``among`` - 1. It looks random, but depends only on ``key``."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % among


def warc_record(kind: str, headers: Sequence[tuple[str, str]], block: bytes, *, length: int | None = None) -> bytes:
    """Returns a WARC record. If ``length`` is given, the header Content-Length has this value instead of the true
    one.
    """
    lines = ["WARC/1.0", f"WARC-Type: {kind}", *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {len(block) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def record_id(key: str) -> str:
    """Returns a record's URN, which depends only on ``key``."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, key)}>"


def sha1_digest(data: bytes) -> str:
    """Returns a SHA-1 digest as WARC writes it: ``sha1:`` and then the digest in base 32."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()
