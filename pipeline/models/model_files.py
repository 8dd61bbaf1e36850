"""Checks that a model's file is complete before a library reads it.

The libraries do not check this. In a truncated file, fastText searches for the end of a word even after the end of the
file, and never returns. SentencePiece accepts a file in which the last pieces are missing. KenLM does not check the
words at the end of a file. So this module compares the size of the file with the sizes that its headers state. The
dictionary of a fastText model has no such size, so it is read entry by entry.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import struct
from collections.abc import Callable

from tokenizer.model_file import fields

_FASTTEXT_MAGIC = 793712314
_FASTTEXT_VERSIONS = (11, 12)
_FASTTEXT_HEAD = struct.Struct("<ii12id")
_FASTTEXT_SIZES = struct.Struct("<iiiqq")
_ENTRY_BYTES = 9
_MAX_WORD_BYTES = 4096
_SUPERVISED = 3
_KENLM_MAGIC = b"mmap lm http://kheafield.com/code format version"
_KENLM_ORDER_AT, _KENLM_HAS_WORDS_AT, _KENLM_COUNTS_AT = 0x58, 0x64, 0x6C
_MAX_ORDER = 20
_MIN_NGRAM_BYTES = 4
"""The smallest size of a line in an ARPA file, in bytes: a digit, a tab, a character and a line end."""
_TAIL_BYTES = 200


class TruncatedModel(ValueError):  # noqa: N818 - the name says what is wrong
    """Raised if the file of a model is not complete or not a model. The message says what is wrong."""


def check_model_file(path: str) -> None:
    """Checks the file of a model. The ending of the file's name says which kind of model it is. A file with an unknown
    ending is not checked.

    Raises:
        ValueError: the file is truncated, or is not a model of the kind that its name says.
    """
    stat = os.stat(path)
    if stat.st_size:  # the loader reports an empty file
        _check(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _check(path: str, num_bytes: int, mtime_ns: int) -> None:
    check = next((c for endings, c in _CHECKS if path.endswith(endings)), None)
    if check is None:
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            check(data)
        except struct.error as error:
            raise TruncatedModel("it ends inside its header") from error


class _Walk:
    """Reads a file one value after another. Raises an error if a value would end after the end of the file."""

    def __init__(self, data: mmap.mmap, at: int = 0) -> None:
        self.data, self.at = data, at

    def read(self, kind: struct.Struct) -> tuple[int, ...]:
        found = kind.unpack_from(self.data, self.at)
        self.at += kind.size
        return found

    def skip(self, num_bytes: int) -> None:
        if num_bytes < 0 or self.at + num_bytes > len(self.data):
            raise TruncatedModel(f"it has {len(self.data):,} bytes, its header speaks of {self.at + num_bytes:,}")
        self.at += num_bytes


_BYTE, _SHAPE, _FOUR_INTS, _INT = struct.Struct("<B"), struct.Struct("<qq"), struct.Struct("<4i"), struct.Struct("<i")


def _check_fasttext(data: mmap.mmap) -> None:
    walk = _Walk(data)
    magic, version, dim, *settings, _ = walk.read(_FASTTEXT_HEAD)
    if magic != _FASTTEXT_MAGIC or version not in _FASTTEXT_VERSIONS:
        raise TruncatedModel("it does not begin as a fastText model does")
    kind, num_buckets = settings[6], settings[7]
    size, num_words, num_labels, _, num_kept = walk.read(_FASTTEXT_SIZES)
    if min(dim, size, num_words + 1, num_labels + 1, num_buckets + 1) < 1 or size != num_words + num_labels:
        raise TruncatedModel("the sizes in its header contradict each other")
    if size * (_ENTRY_BYTES + 1) > len(data) or max(0, num_kept) * 8 > len(data):
        raise TruncatedModel(f"it has {len(data):,} bytes, too few for {size:,} words")
    for _ in range(size):
        end = data.find(b"\0", walk.at, walk.at + _MAX_WORD_BYTES)
        if end < 0:
            raise TruncatedModel("its dictionary ends early")
        walk.at = end + 1
        walk.skip(_ENTRY_BYTES)
    walk.skip(8 * max(0, num_kept))
    rows = num_words + (num_kept if num_kept >= 0 else num_buckets)
    is_quantized = walk.read(_BYTE)[0]
    _skip_matrix(walk, rows, dim, is_quantized=bool(is_quantized))
    is_output_quantized = walk.read(_BYTE)[0] and is_quantized
    num_outputs = num_labels if kind == _SUPERVISED else num_words
    _skip_matrix(walk, num_outputs, dim, is_quantized=bool(is_output_quantized))
    if walk.at != len(data):
        raise TruncatedModel(f"{len(data) - walk.at:,} bytes follow after its end")


def _skip_matrix(walk: _Walk, num_rows: int, dim: int, *, is_quantized: bool) -> None:
    """Skips the bytes of a matrix. A matrix is stored as its shape and its values.

    The values of a normal matrix are floats. A quantized matrix has codes and centroids instead. See fastText,
    src/densematrix.cc and src/quantmatrix.cc.
    """
    has_norms = walk.read(_BYTE)[0] if is_quantized else 0
    rows, columns = walk.read(_SHAPE)
    if (rows, columns) != (num_rows, dim):
        raise TruncatedModel(f"a matrix has {rows} x {columns} values where {num_rows} x {dim} should be")
    if not is_quantized:
        walk.skip(4 * rows * columns)
        return
    walk.skip(walk.read(_INT)[0])
    _skip_quantizer(walk)
    if has_norms:
        walk.skip(rows)
        _skip_quantizer(walk)


def _skip_quantizer(walk: _Walk) -> None:
    dim = walk.read(_FOUR_INTS)[0]
    walk.skip(4 * 256 * dim)


def _check_sentencepiece(data: mmap.mmap) -> None:
    numbers = [number for number, _, _ in fields(data[:])]
    if 1 not in numbers:
        raise TruncatedModel("it has no pieces")
    if 2 not in numbers or 3 not in numbers:
        raise TruncatedModel(f"it ends after {numbers.count(1):,} pieces, before the settings that follow them")


def _check_kenlm_binary(data: mmap.mmap) -> None:
    """Checks that a binary KenLM model has all its words, which are at the end of the file.

    The rest is not checked here, because KenLM itself checks the size of its tables.
    """
    if data[: len(_KENLM_MAGIC)] != _KENLM_MAGIC:
        raise TruncatedModel("it does not begin as a binary KenLM model does")
    order = data[_KENLM_ORDER_AT] if len(data) > _KENLM_COUNTS_AT else 0
    if not 1 <= order <= _MAX_ORDER:
        raise TruncatedModel("it ends inside its header, or its order is none")
    (num_words,) = struct.unpack_from("<Q", data, _KENLM_COUNTS_AT)
    if not data[_KENLM_HAS_WORDS_AT]:
        return
    at = data.rfind(b"<unk>\0")
    found = data[at:].count(b"\0") if at >= 0 and len(data) - at < (num_words + 1) * _MAX_WORD_BYTES else 0
    if found != num_words or data[-1:] != b"\0":
        raise TruncatedModel(f"it has {found:,} of {num_words:,} words at its end")


def _check_arpa(data: mmap.mmap) -> None:
    head = data[:4096]
    counts = [int(n) for n in re.findall(rb"^ngram \d+=(\d{1,15})\s*$", head, re.M)]
    if b"\\data\\" not in head or not counts:
        raise TruncatedModel("it does not begin as an ARPA file does")
    if sum(counts) * _MIN_NGRAM_BYTES > len(data):
        raise TruncatedModel(f"it has {len(data):,} bytes, too few for {sum(counts):,} n-grams")
    if b"\\end\\" not in data[-_TAIL_BYTES:]:
        raise TruncatedModel("its last line is missing")


_CHECKS: tuple[tuple[tuple[str, ...], Callable[[mmap.mmap], None]], ...] = (
    ((".sp.model", "tokenizer.model"), _check_sentencepiece),
    ((".arpa.bin",), _check_kenlm_binary),
    ((".arpa",), _check_arpa),
    ((".bin", ".ftz"), _check_fasttext),
)
