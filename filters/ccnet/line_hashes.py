"""Splits documents into lines, normalises and hashes the lines, and drops the lines that the line dedup has marked.

The pipeline's line dedup compares only the hashes of lines. So this module decides which lines count as equal.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from filters.ccnet.characters import CHARS_WITH_RULES, CONTROL_CHARS, DIGITS, UNICODE_PUNCTUATION

UInt64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LineHashes:
    """Holds the hashes of all lines of ``n`` documents, in order."""

    hashes: UInt64s
    """One hash per line."""
    doc_offsets: Int64s
    """``n + 1`` offsets: the lines of document ``i`` are ``hashes[doc_offsets[i]:doc_offsets[i + 1]]``."""


def ccnet_hashes(texts: pa.Array) -> LineHashes:
    """Returns a hash of every line in CCNet's normal form. Lines that CCNet treats as equal have equal hashes.

    Lines are stripped and lower-cased, every digit becomes ``0``, and 34 marks of Unicode punctuation and all control
    characters are deleted. ASCII punctuation and accents stay. Empty lines are hashed too (cc_net/dedup.py
    ``compute_hashes``, cc_net/text_normalizer.py ``normalize_for_dedup``). The hash values differ from CCNet's: this
    function uses XXH3 with 64 bits, and CCNet uses the first 64 bits of SHA-1.

    In the example, lines that differ only in case, digits, blanks and Unicode punctuation have equal hashes.

    >>> ccnet_hashes(pa.array(["Page 1\\npage 2 \\n\\nPàge “2”"])).hashes.tolist() == [
    ...     ccnet_hashes(pa.array([line])).hashes[0] for line in ("PAGE 9", "page 0", "", "pàge 7")]
    True
    """
    return _hashed(texts, lambda lines: lines.translate(_PLAIN_ASCII, _ASCII_CONTROLS), _ccnet_plain)


def c4_hashes(texts: pa.Array) -> LineHashes:
    """Returns a hash of every line in C4's normal form: stripped and lower-cased.

    Lines that C4 treats as equal have equal hashes. The hash values differ from C4's: this function uses XXH3, and
    tensorflow_datasets/text/c4_utils.py uses MD5.
    """
    return _hashed(texts, bytes.lower, _lowered)


LINE_HASHES: dict[str, Callable[[pa.Array], LineHashes]] = {"ccnet": ccnet_hashes, "c4": c4_hashes}
"""Hash functions by name. The field ``lines`` of the step ``LineDedup`` names one of them."""


@dataclass(frozen=True, slots=True)
class KeptLines:
    """Holds documents without the dropped lines. Every array has one row per document."""

    text: pa.Array
    num_lines: pa.Array
    """int32; the number of remaining lines. It distinguishes two kinds of empty texts: 0 if no line remains, and 1 if
    one empty line remains."""
    original_num_lines: pa.Array
    """int32; the number of lines of the original document."""


def drop_lines(texts: pa.Array, is_dropped: Bools) -> KeptLines:
    """Drops the lines for which ``is_dropped`` is True. Returns the documents with the remaining lines.

    ``is_dropped`` has one value for each line of all documents, in order.

    >>> kept = drop_lines(pa.array(["A\\nb\\n c", "d"]), np.array([False, True, False, True]))
    >>> kept.text.to_pylist(), kept.num_lines.to_pylist(), kept.original_num_lines.to_pylist()
    (['A\\n c', ''], [2, 0], [3, 1])
    """
    split = pc.split_pattern(texts, "\n")
    doc_offsets = split.offsets.to_numpy().astype(np.int64)
    if len(is_dropped) != doc_offsets[-1] - doc_offsets[0]:
        raise ValueError(f"{len(is_dropped)} marks for {doc_offsets[-1] - doc_offsets[0]} lines")
    num_kept_before = np.concatenate(([0], np.cumsum(~is_dropped)))
    kept_offsets = num_kept_before[doc_offsets - doc_offsets[0]]
    text = texts
    if is_dropped.any():
        kept = split.flatten().filter(pa.array(~is_dropped))
        text = pc.binary_join(pa.ListArray.from_arrays(pa.array(kept_offsets, pa.int32()), kept), "\n")
    return KeptLines(
        text=text,
        num_lines=pa.array(np.diff(kept_offsets), pa.int32()),
        original_num_lines=pa.array(np.diff(doc_offsets), pa.int32()),
    )


# The functions below process many lines at once, joined by line ends, in one call of an Arrow kernel.

_FOLD_DIGITS = bytes(ord("0") if ord("0") <= byte <= ord("9") else byte for byte in range(256))
_PLAIN_ASCII = _FOLD_DIGITS.lower()
_ASCII_CONTROLS = bytes(byte for byte in (*range(32), 127) if byte != ord("\n"))
_DELETED, _DIGIT = 1, 2
_FATES = np.zeros(0x20000, np.uint8)
"""For each code point outside ASCII: 0 if the character is kept, ``_DELETED`` if it is deleted, ``_DIGIT`` if it
becomes ``0``. Characters with larger code points are kept."""
_FATES[[ord(char) for char in (*UNICODE_PUNCTUATION, *CONTROL_CHARS) if not char.isascii()]] = _DELETED
_FATES[[ord(char) for char in DIGITS if not char.isascii()]] = _DIGIT


def _stripped_lines(texts: pa.Array) -> tuple[pa.Array, Int64s]:
    split = pc.split_pattern(texts, "\n")
    offsets = split.offsets.to_numpy().astype(np.int64)
    return pc.utf8_trim_whitespace(split.flatten()), offsets - offsets[0]


def _joined(lines: pa.Array) -> bytes:
    all_lines = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    joined: bytes = pc.binary_join(all_lines, "\n")[0].as_buffer().to_pybytes()
    return joined


def _lowered(joined: bytes) -> bytes:
    """Lower-cases UTF-8 text as Python does.

    Arrow's function is faster, and is used for most texts. But Arrow and Python lower-case a few letters, such as a
    final sigma, differently. So Python lower-cases the texts that contain such letters.
    """
    column = _as_array(joined)
    if pc.match_substring_regex(column, _lowered_otherwise())[0].as_py():
        return joined.decode("utf-8").lower().encode("utf-8")
    lowered: bytes = pc.utf8_lower(column)[0].as_buffer().to_pybytes()
    return lowered


@functools.cache
def _lowered_otherwise() -> str:
    """Returns a regular expression that matches the letters that Arrow and Python lower-case differently."""
    chars = CHARS_WITH_RULES
    runs = [chars[at : at + _RUN_CHARS] for at in range(0, len(chars), _RUN_CHARS)]
    differ = [run for run, arrows in zip(runs, _arrow_lower(runs), strict=True) if run.lower() != arrows]
    by_char = [char for run in differ for char in run]
    found = {char for char, arrows in zip(by_char, _arrow_lower(by_char), strict=True) if char.lower() != arrows}
    return "[" + "".join(sorted(found | {"Σ"})) + "]"


_RUN_CHARS = 256
""":func:`_lowered_otherwise` compares this many characters at once, to build a regular expression. With this number, a
process needs a tenth of a second for it.
"""


def _arrow_lower(texts: list[str]) -> list[str]:
    lowered: list[str] = pc.utf8_lower(pa.array(texts, pa.string())).to_pylist()
    return lowered


def _ccnet_plain(joined: bytes) -> bytes:
    codes = np.frombuffer(_lowered(joined), np.uint8)
    is_kept, plain = np.ones(len(codes), np.bool_), codes.copy()
    for width, first, end in ((2, 0xC2, 0xE0), (3, 0xE0, 0xF0), (4, 0xF0, 0xF5)):
        at = np.flatnonzero((codes >= first) & (codes < end))
        char = (codes[at] & (0x7F >> width)).astype(np.uint32)
        for further in range(1, width):
            char = (char << 6) + (codes[at + further] & 0x3F)
        fate = _FATES[np.minimum(char, len(_FATES) - 1)]
        digits, touched = at[fate == _DIGIT], at[fate > 0]
        plain[digits] = ord("0")
        for place in range(width):
            is_kept[touched + place] = False
        is_kept[digits] = True
    return plain[is_kept].tobytes().translate(_FOLD_DIGITS, _ASCII_CONTROLS)


def _as_array(joined: bytes) -> pa.Array:
    offsets = pa.py_buffer(np.array([0, len(joined)], dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(joined)])


_Plain = Callable[[bytes], bytes]
"""A function that converts newline-joined lines to their normal forms, line by line."""
_TEXTS_AT_ONCE = 64
"""Number of texts hashed at once. This number of texts fits in the processor's cache. If few lines are ASCII, hashing
all texts at once would take 1.5 times as long."""


def _hashed(texts: pa.Array, plain_ascii: _Plain, plain: _Plain) -> LineHashes:
    """Returns the hashes of the normal forms of all lines. ``plain_ascii`` converts ASCII lines to their normal forms,
    and ``plain`` converts all other lines."""
    num_lines, hashes = [np.zeros(1, np.int64)], [np.empty(0, np.uint64)]
    for at in range(0, len(texts), _TEXTS_AT_ONCE):
        lines, doc_offsets = _stripped_lines(texts.slice(at, _TEXTS_AT_ONCE))
        found = np.empty(len(lines), np.uint64)
        is_ascii = pc.string_is_ascii(lines)
        for chosen, function in ((is_ascii, plain_ascii), (pc.invert(is_ascii), plain)):
            some = lines.filter(chosen)
            left = function(_joined(some)).split(b"\n") if len(some) else []
            assert len(left) == len(some), "a kernel has added or removed a line end"
            hashed = np.fromiter(map(xxhash.xxh3_64_intdigest, left), np.uint64, len(left))
            found[chosen.to_numpy(zero_copy_only=False)] = hashed
        num_lines.append(np.diff(doc_offsets))
        hashes.append(found)
    return LineHashes(np.concatenate(hashes), np.cumsum(np.concatenate(num_lines)))
