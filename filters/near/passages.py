"""Finds passages that several texts share, and cuts them out of a text between lines or words.

    texts -> windows (hashed parts of the texts) -> (comparison in the pipeline) -> repeated windows -> cut

A window is a part of a text with a fixed number of bytes, ``num_bytes``. Only the bytes around a place decide whether a
window begins there (winnowing; Schleimer, Wilkerson and Aiken 2003): of every :data:`STRIDE` neighbouring pieces of
eight bytes, the piece with the smallest hash begins a window. So two texts that share a passage have the same windows
in it. A shared passage of at least ``num_bytes + STRIDE - 1`` bytes contains at least one whole window, and windows
cover all of it except for at most ``STRIDE - 1`` bytes at each end. The first and the last ``num_bytes`` bytes of a
text are windows too. So if two texts are equal, their windows cover them completely.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

Array = np.ndarray[Any, Any]

STRIDE = 128
"""From this many neighbouring pieces of eight bytes, one is chosen to begin a window. On average, a window begins every
64 bytes."""
PIECE_BYTES = 8
BORDER_BYTES = 128
"""A cut is moved by at most this many bytes, so that it does not divide a line or a word."""
_CHUNK_BYTES = 1 << 20
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_PLACE = np.uint64(2**32 - 1)


@dataclass(frozen=True, slots=True)
class Windows:
    """Holds the windows of ``n`` texts, in order."""

    hashes: Array
    """uint64: a hash of each window."""
    begins: Array
    """int64: the index of each window's first byte in its text."""
    doc_offsets: Array
    """int64, ``n + 1`` offsets: the windows of text ``i`` are ``hashes[doc_offsets[i]:doc_offsets[i + 1]]``."""


def windows_of(texts: pa.Array, num_bytes: int) -> Windows:
    """Returns the windows of texts. A text's windows depend on this text alone.

    Args:
        texts: an array of strings.
        num_bytes: the length of a window, in bytes of UTF-8.

    In the example, two texts share 300 bytes, so they share windows of 100 bytes:

    >>> shared = "".join(f"{number * 7919 % 1000:03}" for number in range(100))
    >>> found = windows_of(pa.array(["one " + shared, shared + " two", "short"]), 100)
    >>> one, two, three = np.split(found.hashes, found.doc_offsets[1:-1])
    >>> len(set(one) & set(two)) > 0, len(three)
    (True, 0)
    """
    texts = texts.cast(pa.large_string())
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = texts.buffers()[2]
    view = memoryview(data) if data is not None else memoryview(b"")
    hashes: list[int] = []
    begins, counts = [np.empty(0, np.int64)], []
    for first, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        found = _beginnings(view[first:end], num_bytes)
        begins.append(found)
        counts.append(len(found))
        hashes += [xxhash.xxh3_64_intdigest(view[at : at + num_bytes]) for at in (found + first).tolist()]
    return Windows(
        np.array(hashes, np.uint64), np.concatenate(begins), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    )


def _beginnings(text: memoryview, num_bytes: int) -> Array:
    """Returns the indexes of the bytes at which windows of a text begin: the chosen places, the first possible place
    and the last possible place."""
    last = len(text) - num_bytes
    if last < 0:
        return np.empty(0, np.int64)
    num_pieces = len(text) - PIECE_BYTES + 1
    parts = [
        _chosen(text[first : first + _CHUNK_BYTES + STRIDE + PIECE_BYTES - 2]) + first
        for first in range(0, num_pieces - STRIDE + 1, _CHUNK_BYTES)
    ]
    places = np.concatenate(parts or [np.empty(0, np.int64)])
    places = np.unique(places[places <= last])
    pieces = np.ndarray(num_pieces, "<u8", text, strides=(1,))[places]
    return np.asarray(np.unique(np.concatenate([[0], places[_are_thinned(places, pieces)], [last]])))


def _chosen(text: memoryview) -> Array:
    """Returns the place of the piece with the smallest hash, for every ``STRIDE`` neighbouring pieces. If several
    hashes are equal, the first one counts as the smallest: the low half of each number is replaced by its place."""
    hashes = np.ndarray(len(text) - PIECE_BYTES + 1, "<u8", text, strides=(1,)) * _FACTOR
    hashes ^= hashes >> np.uint64(29)
    hashes *= _FACTOR
    hashes &= ~_PLACE
    hashes |= np.arange(len(hashes), dtype=np.uint64)
    step = 1
    while step < STRIDE:
        hashes = np.minimum(hashes[:-step], hashes[step:])
        step *= 2
    places = hashes & _PLACE
    return np.asarray(places[np.diff(places, prepend=~places[:1]) != 0].astype(np.int64))


def _are_thinned(places: Array, pieces: Array) -> Array:
    """Returns a boolean per place: True if the place is kept. In a run of equal pieces, such as a line of dashes, a
    window would begin at each place. In such a run, only one of every :data:`STRIDE` places is kept.

    The places are counted from the end of the run. So two texts keep the same places before a shared passage, even if
    their runs have different lengths.
    """
    if not len(places):
        return np.empty(0, bool)
    is_last = np.ones(len(places), bool)
    is_last[:-1] = (pieces[1:] != pieces[:-1]) | (np.diff(places) >= STRIDE)
    ends = np.flatnonzero(is_last)
    run_end = places[ends[ends.searchsorted(np.arange(len(places)))]]
    number = (run_end - places) // STRIDE
    return np.asarray(is_last | (np.diff(number, append=-1) != 0))


def first_copies(windows: Windows) -> Array:
    """Returns, for each window, the index of the first window of the same text with the same hash."""
    order = np.lexsort(
        (windows.hashes, np.repeat(np.arange(len(windows.doc_offsets) - 1), np.diff(windows.doc_offsets)))
    )
    hashes, document = windows.hashes[order], windows.doc_offsets.searchsorted(order, "right")
    is_first = np.ones(len(order), bool)
    is_first[1:] = (hashes[1:] != hashes[:-1]) | (document[1:] != document[:-1])
    found = np.empty(len(order), np.int64)
    found[order] = order[np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))]
    return found


@dataclass(frozen=True, slots=True)
class CutTexts:
    """Holds texts from which passages were cut. Each field has one value per text."""

    text: pa.Array
    num_passages: Array
    num_bytes: Array
    """The number of bytes that were cut."""


def cut_passages(texts: pa.Array, windows: Windows, is_repeated: Array, num_bytes: int) -> CutTexts:
    """Cuts the passages that are covered by repeated windows.

    If a window repeats an earlier window of the same text, and the earlier window is kept, no byte of the earlier
    window is cut. The two windows can overlap, for example in a long run of zeros. Then the first ``num_bytes`` bytes
    of the run stay.

    Args:
        texts: the texts of ``windows``.
        windows: the result of :func:`windows_of`.
        is_repeated: True for the windows to cut, one value per window.
        num_bytes: the length of a window, in bytes.

    In the example, two repeated windows of 150 bytes together cover the line of 200 letters:

    >>> texts = pa.array(["A head.\\n" + "x" * 200 + "\\nA tail.\\n"])
    >>> windows = Windows(np.zeros(2, np.uint64), np.array([6, 60]), np.array([0, 2]))
    >>> cut_passages(texts, windows, np.array([True, True]), 150).text.to_pylist()
    ['A head.\\nA tail.\\n']
    """
    num_passages, num_cut = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    has_repeats = np.zeros(len(texts), bool)
    document = np.repeat(np.arange(len(texts)), np.diff(windows.doc_offsets))
    has_repeats[document[is_repeated]] = True
    if not has_repeats.any():
        return CutTexts(texts, num_passages, num_cut)
    found = texts.to_pylist()
    first = first_copies(windows)
    kept_ends = np.where(is_repeated[first], 0, windows.begins[first] + num_bytes)
    cut_begins = np.maximum(windows.begins, kept_ends)
    for number in np.flatnonzero(has_repeats).tolist():
        own = slice(int(windows.doc_offsets[number]), int(windows.doc_offsets[number + 1]))
        chosen = is_repeated[own]
        data, parts, at = found[number].encode(), [], 0
        for begin, end in _passages(cut_begins[own][chosen], windows.begins[own][chosen] + num_bytes):
            begin, end = max(at, begin_of_cut(data, begin)), end_of_cut(data, end)
            if begin < end:
                parts.append(data[at:begin])
                at = end
                num_passages[number] += 1
                num_cut[number] += end - begin
        found[number] = b"".join([*parts, data[at:]]).decode()
    return CutTexts(pa.array(found, texts.type), num_passages, num_cut)


def _passages(begins: Array, ends: Array) -> Iterator[tuple[int, int]]:
    """Yields the beginning and the end of each passage. Parts of a text that overlap or touch form one passage."""
    order = np.argsort(begins, kind="stable")
    begins, reached = begins[order], np.maximum.accumulate(ends[order])
    firsts = np.flatnonzero(np.append(True, begins[1:] > reached[:-1]))
    lasts = np.append(firsts[1:] - 1, len(begins) - 1)
    yield from zip(begins[firsts].tolist(), reached[lasts].tolist(), strict=True)


_BLANKS = b" \t\r\n\v\f"


def begin_of_cut(data: bytes, place: int) -> int:
    """Returns the position where a cut may begin, at or after ``place``.

    This is the first beginning of a line within :data:`BORDER_BYTES` after ``place``. If there is none, it is the first
    beginning of a word in these bytes. If there is none either, it is the next beginning of a character.

    >>> begin_of_cut(b"one two\\nthree", 2), begin_of_cut(b"one two", 2), begin_of_cut("é".encode() * 9, 3)
    (8, 4, 4)
    """
    if place == 0:
        return 0
    near = data[place - 1 : place + BORDER_BYTES]
    line = near.find(b"\n")
    if line >= 0:
        return place + line
    word = next((at for at, byte in enumerate(near) if byte in _BLANKS), -1)
    if word >= 0:
        return place + word
    while place < len(data) and data[place] & 0xC0 == 0x80:
        place += 1
    return place


def end_of_cut(data: bytes, place: int) -> int:
    """Returns the position where a cut may end, at or before ``place``.

    This is the position after the last line end within :data:`BORDER_BYTES` before ``place``. If there is none, it is
    the position after the last blank in these bytes. If there is none either, it is the beginning of the character at
    ``place``. The end of the text is returned unchanged.

    >>> end_of_cut(b"one\\ntwo three", 9), end_of_cut(b"one two", 6), end_of_cut("é".encode() * 9, 3)
    (4, 4, 2)
    """
    if place == len(data):
        return place
    first = max(0, place - BORDER_BYTES)
    near = data[first:place]
    line = near.rfind(b"\n")
    if line >= 0:
        return first + line + 1
    word = next((at for at in range(len(near) - 1, -1, -1) if near[at] in _BLANKS), -1)
    if word >= 0:
        return first + word + 1
    while place and data[place] & 0xC0 == 0x80:
        place -= 1
    return place
