"""Computes the checksums of models, once per file."""

from __future__ import annotations

import functools
import hashlib
import os

from pipeline.models.load import ModelFiles, RankFile
from pipeline.models.stored_files import (
    StoredFile,
    is_stored,
    sha256_of_stored,
    with_checksum,
)

_HASH_BLOCK_BYTES = 1 << 20


def sha256_of(path: object) -> str:
    """Returns the SHA-256 of a model as hexadecimal text. ``path`` is the model's path, in any form that
    :mod:`pipeline.models.load` knows.

    If the model has several files, the hash covers the names and the checksums of the files. If the path is a
    :class:`RankFile` (a tokenizer's vocabulary and its settings), the hash covers the checksum of the vocabulary's file
    and the pattern from the settings.
    """
    if isinstance(path, ModelFiles):
        lines = [f"{name} {sha256_of(file)}\n" for name, file in path.paths]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    if isinstance(path, RankFile):
        return hashlib.sha256(f"{sha256_of(path.path)} {path.settings.regex()}".encode()).hexdigest()
    if isinstance(path, StoredFile):
        return with_checksum(path).sha256
    if is_stored(path):
        return sha256_of_stored(str(path))
    stat = os.stat(str(path))
    return _sha256_of_file(str(path), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256_of_file(path: str, num_bytes: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
