"""Draws the sample that a tokenizer is trained on. Its size is limited, and texts are chosen by their hashes.

The choice does not depend on the order of the texts, on files or on workers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import xxhash


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Texts to train on, and their sizes by source."""

    texts: tuple[str, ...]
    text_bytes: int
    """UTF-8 bytes of all texts."""
    source_bytes: Mapping[str, int]
    """Bytes by source; they add up to ``text_bytes``."""


class SmallestHashes:
    """Keeps the texts with the smallest hashes, together at most ``max_bytes`` bytes of UTF-8.

    If the texts together have at least ``max_bytes``, the last text returned is truncated so that the result has
    exactly ``max_bytes``, or up to three bytes less to end with a whole character. Memory holds less than twice
    ``max_bytes`` of text and one heap entry per text, because every text is truncated to ``max_bytes`` on arrival.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._heap: list[tuple[int, bytes]] = []
        """A heap of (minus the hash, text), so that the largest hash is first."""
        self._held_bytes = 0
        self.seen_bytes = 0

    def add(self, key: str, text: str) -> None:
        """Adds a text under the hash of its key."""
        data = text.encode("utf-8", "replace")
        if not data:
            return
        self.seen_bytes += len(data)
        data = cut_bytes(data, self._max_bytes)
        heapq.heappush(self._heap, (-sample_hash(key), data))
        self._held_bytes += len(data)
        while self._held_bytes - len(self._heap[0][1]) >= self._max_bytes:
            self._held_bytes -= len(heapq.heappop(self._heap)[1])

    def smallest(self) -> list[bytes]:
        """Returns the texts in the order of their hashes, the last one truncated."""
        return take_bytes([data for _, data in sorted(self._heap, key=lambda e: (-e[0], e[1]))], self._max_bytes)


def sample_hash(doc_id: str) -> int:
    """Returns the 64-bit hash of a document. The documents with the smallest hashes are in the sample."""
    return xxhash.xxh3_64_intdigest(doc_id.encode("utf-8", "replace"))


def bounded_sample(texts: Iterable[str], *, max_bytes: int) -> Sample:
    """Returns all texts if they have at most ``max_bytes``, else the texts whose content has the smallest hashes.

    >>> bounded_sample(["b", "a", "b"], max_bytes=10).text_bytes
    3
    """
    kept = SmallestHashes(max_bytes)
    for text in texts:
        kept.add(text, text)
    chosen = tuple(data.decode("utf-8") for data in kept.smallest())
    text_bytes = sum(len(text.encode("utf-8")) for text in chosen)
    return Sample(texts=chosen, text_bytes=text_bytes, source_bytes={})


def take_bytes(texts: list[bytes], num_bytes: int, *, repeat: int = 1) -> list[bytes]:
    """Returns the first ``num_bytes`` bytes of the texts. The last text returned is truncated.

    If the texts are too short, goes through them again, up to ``repeat`` times in all.

    >>> take_bytes([b"abc", b"de"], 7, repeat=2)
    [b'abc', b'de', b'ab']
    """
    taken: list[bytes] = []
    left = num_bytes
    for data in (data for _ in range(repeat) for data in texts):
        if left <= 0:
            break
        taken.append(cut_bytes(data, left))
        left -= len(data)
    return [data for data in taken if data]


def cut_bytes(data: bytes, max_bytes: int) -> bytes:
    """Returns the first ``max_bytes`` bytes of UTF-8, without an incomplete character at the end.

    >>> cut_bytes("aé".encode(), 2)
    b'a'
    """
    if len(data) <= max_bytes:
        return data
    while max_bytes and data[max_bytes] & 0xC0 == 0x80:
        max_bytes -= 1
    return data[:max_bytes]


def lines(text: str, *, max_line_bytes: int) -> Iterator[str]:
    """Yields the lines of a text as the trainer takes them: none empty, none longer than ``max_line_bytes`` of UTF-8.

    A long line is split before the last space of its first ``max_line_bytes``, if this space is in their second half.
    Otherwise it is split between characters. U+2585 also ends a line, because the trainer skips lines that contain it.
    """
    for line in text.replace("\u2585", "\n").split("\n"):
        data = line.encode("utf-8")
        while len(data) > max_line_bytes:
            head = cut_bytes(data, max_line_bytes)
            space = head.rfind(b" ")
            if space >= max_line_bytes // 2:
                head = head[:space]
            yield head.decode("utf-8")
            data = data[len(head) :]
        if data:
            yield data.decode("utf-8")
