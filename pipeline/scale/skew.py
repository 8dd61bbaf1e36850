"""Simulates a shuffle, to find how much fuller the largest bucket gets than the average bucket. The simulation computes
counts for a billion keys without creating the keys.

A key is the hash of a line. The most frequent line has rank 1, the second most frequent line has rank 2, and so on. How
often a line occurs is computed from its rank (Zipf's law) and from the given count of the most frequent line. A batch
of documents sends each hash at most once, which limits the counts of frequent lines.

A hash decides the bucket of a key. Frequent keys are put into buckets one by one. For the many rare keys, the numbers
of keys per bucket are drawn from a multinomial distribution. The shuffle that mixes documents is simulated in the same
way. There a key is the id of a document, and each key occurs once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.clean.sizing import scale_of

LINE_BUCKETS = scale_of(42 * 10**12).num_line_buckets
"""The number of buckets of the line dedup for an input of five dumps."""
_FREQUENT = 2_000_000
"""The number of frequent keys that are put into buckets one by one. For the remaining keys, the numbers of keys per
bucket are drawn at random."""


@dataclass(frozen=True, slots=True)
class Skew:
    """Describes the simulated buckets of one shuffle."""

    what: str
    num_keys: float
    num_buckets: int
    num_occurrences: float
    mean: float
    largest: float
    hottest_key: float

    @property
    def ratio(self) -> float:
        return self.largest / self.mean


def zipf_counts(ranks: np.ndarray, *, exponent: float, most: float, cap: float) -> np.ndarray:
    """Returns how often the keys with the given ranks occur by Zipf's law. Ranks count from 1.

    The key with rank 1 occurs ``most`` times. Every count is limited to the range from 1 to ``cap``.
    """
    return np.clip(most * ranks.astype(np.float64) ** -exponent, 1.0, cap)


def skew(
    what: str, *, num_keys: int, num_buckets: int, exponent: float, most: float, cap: float, seed: int = 8
) -> Skew:
    """Simulates a shuffle, and returns a description of the buckets. ``num_keys`` keys are distributed over the buckets
    at random. How often a key occurs follows Zipf's law. The most frequent key occurs ``most`` times; a key that would
    occur more often than ``cap`` occurs ``cap`` times. ``ratio`` is the size of the largest bucket divided by the mean
    size.

    >>> found = skew("x", num_keys=10**6, num_buckets=64, exponent=1.0, most=1e5, cap=1e9)
    >>> found.largest >= found.hottest_key == 1e5
    True
    >>> skew("y", num_keys=10**6, num_buckets=64, exponent=1.0, most=1e5, cap=10.0).ratio < 1.1
    True
    """
    chance = np.random.default_rng(seed)
    buckets = np.zeros(num_buckets)
    frequent = min(num_keys, _FREQUENT)
    counts = zipf_counts(np.arange(1, frequent + 1), exponent=exponent, most=most, cap=cap)
    np.add.at(buckets, chance.integers(0, num_buckets, frequent), counts)
    start = frequent
    while start < num_keys:  # blocks of ranks get larger: within a block the counts are nearly equal
        size = min(max(start // 4, 1), num_keys - start)
        middle = zipf_counts(np.array([start + size / 2]), exponent=exponent, most=most, cap=cap)[0]
        buckets += chance.multinomial(size, np.full(num_buckets, 1 / num_buckets)) * middle
        start += size
    total = float(buckets.sum())
    return Skew(what, num_keys, num_buckets, total, total / num_buckets, float(buckets.max()), float(counts[0]))


def print_skew(*, num_keys: int, console: Console) -> None:
    """Simulates four shuffles, and prints how full the largest bucket of each gets. A shuffle sends everything with the
    same key to the same bucket. ``num_keys`` is the number of different keys per shuffle.
    """
    found = [
        skew("lines, every occurrence", num_keys=num_keys, num_buckets=LINE_BUCKETS, exponent=1.0, most=num_keys / 10,
             cap=1e18),
        skew("lines, once a batch (as built)", num_keys=num_keys, num_buckets=LINE_BUCKETS, exponent=1.0,
             most=num_keys / 10, cap=num_keys / 20_000),
        skew("keys of documents (digest, url)", num_keys=num_keys, num_buckets=4096, exponent=1.2, most=1e6, cap=1e18),
        skew("mixing: documents to shards", num_keys=num_keys, num_buckets=10_430, exponent=0.0, most=1.0, cap=1.0),
    ]  # fmt: skip
    table = Table(title=f"key skew, {num_keys:.1e} distinct keys", title_justify="left")
    for name in ("shuffle", "buckets", "occurrences", "mean", "largest", "largest / mean", "hottest key"):
        table.add_column(name, justify="left" if name == "shuffle" else "right", no_wrap=True)
    for s in found:
        table.add_row(s.what, f"{s.num_buckets:,}", f"{s.num_occurrences:.2e}", f"{s.mean:.2e}", f"{s.largest:.2e}",
                      f"{s.ratio:.3f}", f"{s.hottest_key:.1e}")  # fmt: skip
    console.print(table)
    console.print(
        "A hot key does not grow a bucket past memory: lines are parted on disk beyond 16 million a bucket, groups of "
        "texts are sorted on disk, and what is judged of a key is streamed.", highlight=False, soft_wrap=True,
    )  # fmt: skip
