"""The loader's settings, and the share of every step that one process loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

Packing = Literal["concatenate", "best_fit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderSettings:
    """Defines what a batch is and in which order sequences come."""

    seq_len: int
    """Tokens that are inputs; a sequence holds one more."""
    batch_size: int
    """Sequences per rank and step."""
    seed: int = 0
    shuffle: bool = True
    """False gives the sequences in the order of the shards, which is the pipeline's own global shuffle."""
    window_sequences: int | None = None
    """Sequences (of `max_seq_len`) that are shuffled together; the windows follow one another in the stream. 0 shuffles
    all together. Default: 0 where the shards are local, 65,536 where they are fetched from a store."""
    epochs: int | None = 1
    """Epochs over the shards per pass, each in another order; None never ends."""
    drop_last: bool = True
    """Leaves out the last step of a pass if it does not fill a batch on every rank. Otherwise the ranks would wait for
    each other."""
    packing: Packing = "concatenate"
    """``concatenate`` cuts the stream into sequences wherever they end. ``best_fit`` packs whole documents into
    sequences and pads what is left; see :mod:`mixtures.best_fit`."""
    max_seq_len: int | None = None
    """The longest `seq_len` that this training will use (default: `seq_len`), a multiple of `seq_len`. Sequences are
    shuffled in cells of this length, so a state can be loaded with another `seq_len` that divides it."""
    skip_sequences: Sequence[tuple[int, int]] = ()
    """Ranges (first, end) of places in the order that are left out. With B sequences per step over all ranks, step N
    holds the places from N * B to before (N + 1) * B. They count from the first pass on."""
    accept_other_data: bool = False
    """True accepts a state saved on other data. The loader continues at the same place of this data's order."""

    def __post_init__(self) -> None:
        for name in ("seq_len", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is not a positive number")
        if self.window_sequences is not None and self.window_sequences < 0:
            raise ValueError(f"window_sequences {self.window_sequences} is negative: 0 shuffles all together")
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs {self.epochs} is not a positive number: None never ends")
        if self.packing not in get_args(Packing):
            raise ValueError(f"packing {self.packing!r} is not among {', '.join(get_args(Packing))}")
        if self.max_seq_len is not None and (self.max_seq_len < 1 or self.max_seq_len % self.seq_len):
            raise ValueError(f"max_seq_len {self.max_seq_len} is not a multiple of seq_len {self.seq_len}")
        if self.max_seq_len is not None and self.packing == "best_fit":
            raise ValueError("max_seq_len is for packing concatenate: best_fit can change seq_len without it")
        if self.window_sequences and self.packing == "best_fit":
            raise ValueError("window_sequences is for packing concatenate: best_fit shuffles shard by shard")
        ranges = [tuple(one) for one in self.skip_sequences]
        if any(len(one) != 2 or not 0 <= one[0] < one[1] for one in ranges):
            raise ValueError(f"skip_sequences {ranges} are not ranges (first, end) with 0 <= first < end")
        if any(before[1] > after[0] for before, after in pairwise(ranges)):
            raise ValueError(f"skip_sequences {ranges} are not in order, or overlap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Identifies one loader. It loads the batches of its rank, and only every ``num_workers``-th of them."""

    rank: int = 0
    num_ranks: int = 1
    worker: int = 0
    num_workers: int = 1

    def __post_init__(self) -> None:
        for one, many in (("rank", "num_ranks"), ("worker", "num_workers")):
            if not 0 <= getattr(self, one) < getattr(self, many):
                raise ValueError(f"{one} {getattr(self, one)} is not among {getattr(self, many)} ({many})")


class Skips:
    """Converts between places in the order and the same places counted without the skipped ranges.

    >>> skips = Skips([(2, 4)])
    >>> [int(skips.place(n)) for n in range(4)], [int(skips.count(p)) for p in range(6)]
    ([0, 1, 4, 5], [0, 1, 2, 2, 2, 3])
    """

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._ranges = [(int(first), int(end)) for first, end in ranges]

    def count(self, place: int) -> int:
        """Returns how many places before this one are not skipped."""
        return place - sum(min(max(place - first, 0), end - first) for first, end in self._ranges)

    def place(self, count: Any) -> Any:
        """Returns the place that has this many unskipped places before it; takes an integer or an array of them."""
        for first, end in self._ranges:
            count = count + (count >= first) * (end - first)
        return count
