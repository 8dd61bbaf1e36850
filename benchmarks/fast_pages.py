"""Makes web pages at several hundred MB per second, for runs of tens of gigabytes.

The pages have the same statistics as those of ``web_pages.py``: lines that several real pages share are kept, and the
words of all remaining lines are replaced. There is one difference. New words are drawn four at a time, as they follow
each other in a real page of the same language. So the text compresses nearly as well as real text, and n-grams of
characters across two words are those of the language.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from isal import igzip

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.web_pages import record_of
from pipeline.models.find import find_models
from pipeline.models.load import load

_WORD = re.compile(rb"[A-Za-z\x80-\xff]+")
_NUM_TOGETHER = 4
_MAX_WORD_BYTES = 64


@dataclass(frozen=True, slots=True)
class _Template:
    """A real page whose words can be replaced."""

    page: np.ndarray
    spans: np.ndarray
    """One row per word to replace: the positions of its first byte and after its last byte."""
    pool: np.ndarray
    """All words of the page that may replace others: their positions, as in ``spans``."""


@numba.njit(cache=False)
def _fill(page, spans, page_a, pool_a, page_b, pool_b, seed, out):  # type: ignore[no-untyped-def]
    """Writes the page with other words to ``out``. Returns the number of bytes written."""
    state = np.uint64(seed)
    at, end, left, number, is_a = 0, 0, 0, 0, True
    for k in range(len(spans)):
        for i in range(end, spans[k, 0]):
            out[at] = page[i]
            at += 1
        end = spans[k, 1]
        if left == 0:
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            is_a = state & np.uint64(1) == 0
            number = np.int64((state >> np.uint64(11)) % np.uint64(len(pool_a) if is_a else len(pool_b)))
            left = _NUM_TOGETHER
        pool, text = (pool_a, page_a) if is_a else (pool_b, page_b)
        for i in range(pool[number, 0], pool[number, 1]):
            out[at] = text[i]
            at += 1
        left -= 1
        number += 1
        if number == len(pool):
            left = 0
    for i in range(end, len(page)):
        out[at] = page[i]
        at += 1
    return at


class FastPages:
    """Makes pages that are modelled on real pages. No two pages are equal, except for pages without words.

    Raises:
        ValueError: there are no real pages.
    """

    def __init__(self, pages: list[str], seed: int) -> None:
        if not pages:
            raise ValueError("no page to make others of: name other WET files")
        model = load("language", find_models(None)["language"])
        num_pages_of = Counter(line for page in pages for line in set(page.split("\n")))
        self._templates = [_template(page, num_pages_of) for page in pages]
        self._of_language: dict[str, list[int]] = defaultdict(list)
        self._languages = [model.top(page)[0] for page in pages]
        for number, language in enumerate(self._languages):
            if len(self._templates[number].pool):
                self._of_language[language].append(number)
        self._rng = random.Random(seed)

    def __iter__(self) -> Iterator[bytes]:
        """Yields pages as UTF-8, without end."""
        out = np.empty(0, np.uint8)
        while True:
            for number, template in enumerate(self._templates):
                others = self._of_language[self._languages[number]]
                if not len(template.spans) or not len(template.pool) or not others:
                    continue
                other = self._templates[self._rng.choice(others)]
                most = len(template.page) + len(template.spans) * _MAX_WORD_BYTES
                if len(out) < most:
                    out = np.empty(2 * most, np.uint8)
                seed = self._rng.getrandbits(63) | 1
                size = _fill(template.page, template.spans, template.page, template.pool, other.page, other.pool, seed,
                             out)  # fmt: skip
                yield out[:size].tobytes()


def _template(page: str, num_pages_of: Counter[str]) -> _Template:
    spans, pool, at = [], [], 0
    for line in page.split("\n"):
        data = line.encode()
        words = [(at + m.start(), at + m.end()) for m in _WORD.finditer(data) if m.end() - m.start() <= _MAX_WORD_BYTES]
        pool += words
        if num_pages_of[line] == 1:
            spans += words
        at += len(data) + 1
    return _Template(
        np.frombuffer(page.encode(), np.uint8),
        np.array(spans, np.int64).reshape(-1, 2),
        np.array(pool, np.int64).reshape(-1, 2),
    )


def write_fast_wets(
    folder: Path, pages: Iterator[bytes], *, dump: str, text_bytes: int, bytes_a_file: int = 256 << 20
) -> None:
    """Writes pages with about ``text_bytes`` of text as WET files of a dump, for example ``CC-MAIN-2019-09``."""
    folder.mkdir(parents=True, exist_ok=True)
    total = number = num_files = 0
    while total < text_bytes:
        size = 0
        with (folder / f"{dump}-{num_files:05d}.warc.wet.gz").open("wb") as sink:
            for page in pages:
                block = page.rstrip(b"\n") + b"\n"
                sink.write(igzip.compress(record_of(block, f"{dump}/{number}"), 1))
                number, size = number + 1, size + len(block)
                if size >= bytes_a_file or total + size >= text_bytes:
                    break
        total, num_files = total + size, num_files + 1
