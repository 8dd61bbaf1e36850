"""Draws the sample of texts on which a tokenizer is trained. The size of the sample is limited.

Texts are chosen by their hashes. The choice is the same for any order of the texts, any division into files and any
number of workers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import xxhash


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Holds the texts to train on, and their sizes by source."""

    texts: tuple[str, ...]
    text_bytes: int
    """UTF-8 bytes of all texts."""
    source_bytes: Mapping[str, int]
    """UTF-8 bytes of the texts of each source. The sum is ``text_bytes``."""


class SmallestHashes:
    """Keeps the texts with the smallest hashes, up to ``max_bytes`` bytes of UTF-8 in total.

    If all texts together have more than ``max_bytes`` bytes, the last kept text is truncated. The result then has
    exactly ``max_bytes``, or up to three bytes less so that it ends with a whole character.

    Every text is truncated to ``max_bytes`` when it is added. So the texts in memory have less than twice ``max_bytes``
    bytes. There is also one heap entry per text.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._heap: list[tuple[int, bytes]] = []
        """A heap of (negated hash, text), so that the text with the largest hash is removed first."""
        self._held_bytes = 0
        self.seen_bytes = 0

    def add(self, key: str, text: str) -> None:
        """Adds a text. The hash of ``key`` decides whether the text is kept."""
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
        """Returns the kept texts in the order of their hashes. If they have more than ``max_bytes`` bytes in total, the
        last text is truncated.
        """
        return take_bytes([data for _, data in sorted(self._heap, key=lambda e: (-e[0], e[1]))], self._max_bytes)


def sample_hash(doc_id: str) -> int:
    """Returns the 64-bit hash of a document's id. The sample consists of the documents with the smallest hashes."""
    return xxhash.xxh3_64_intdigest(doc_id.encode("utf-8", "replace"))


def bounded_sample(texts: Iterable[str], *, max_bytes: int) -> Sample:
    """Returns all texts if they have at most ``max_bytes`` in total. If they have more, returns the texts with the
    smallest hashes.

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
    """Returns the first ``num_bytes`` bytes of the texts. The last returned text is truncated if necessary.

    If the texts have fewer bytes in total, they are repeated, as in the example. Each text occurs at most ``repeat``
    times.

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
    """Splits a text into lines that SentencePiece's trainer accepts. No line is empty, and no line is longer than
    ``max_line_bytes`` bytes of UTF-8.

    A long line is split before the last space in its first ``max_line_bytes`` bytes, if that space is in the second
    half of these bytes. If not, the line is split between two characters. U+2585 also ends a line, because the trainer
    skips lines that contain this character.
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
