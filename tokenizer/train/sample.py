"""What a tokenizer is trained on: a sample of bounded size, chosen by hash, weighted as the mixture is.

The choice does not depend on the order in which texts come, on files or on workers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import xxhash


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Texts to train on, and where they came from."""

    texts: tuple[str, ...]
    text_bytes: int
    """UTF-8 bytes of all texts."""
    source_bytes: Mapping[str, int]
    """Of each source; adds up to ``text_bytes``."""


class SmallestHashes:
    """Of a stream of texts, those of the smallest hashes that together hold at most ``max_bytes`` of UTF-8.

    Every text is cut at ``max_bytes`` on the way in, and so is the last one of the answer: the answer holds exactly
    ``max_bytes`` (up to three bytes less, at a character's border) as soon as the stream holds that many. Never holds
    more than twice ``max_bytes`` of text, and a heap entry a text.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._heap: list[tuple[int, bytes]] = []
        """Largest hash first: (minus the hash, text)."""
        self._held_bytes = 0
        self.seen_bytes = 0

    def add(self, key: str, text: str) -> None:
        """Takes a text in under the hash of its key."""
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
        """The texts in the order of their hashes, the last one cut."""
        return take_bytes([data for _, data in sorted(self._heap, key=lambda e: (-e[0], e[1]))], self._max_bytes)


def sample_hash(doc_id: str) -> int:
    """What decides whether a document is in the sample: those of the smallest hashes are. 64 bits."""
    return xxhash.xxh3_64_intdigest(doc_id.encode("utf-8", "replace"))


def bounded_sample(texts: Iterable[str], *, max_bytes: int) -> Sample:
    """All texts if they hold at most ``max_bytes``, else those of the smallest hashes of their content.

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
    """The first ``num_bytes`` of the texts, going through them up to ``repeat`` times; the last one is cut.

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
    """The first ``max_bytes`` of UTF-8, less the part of a character at the end.

    >>> cut_bytes("aé".encode(), 2)
    b'a'
    """
    if len(data) <= max_bytes:
        return data
    while max_bytes and data[max_bytes] & 0xC0 == 0x80:
        max_bytes -= 1
    return data[:max_bytes]


def lines(text: str, *, max_line_bytes: int) -> Iterator[str]:
    """The lines of a text as the trainer takes them: none empty, none longer than ``max_line_bytes`` of UTF-8.

    A long line is cut behind a space where there is one in its last half, else between characters. U+2585 ends a line
    too: it is a mark of the trainer's own, which passes over lines that hold it.
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
