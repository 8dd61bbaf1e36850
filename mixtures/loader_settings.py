"""Defines the loader's settings, and the position of one process among all processes that load batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

Packing = Literal["concatenate", "best_fit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderSettings:
    """Defines what a batch holds, and the order of the sequences."""

    seq_len: int
    """Number of input tokens per sequence. A sequence holds one more token, the last label."""
    batch_size: int
    """Number of sequences per rank and step."""
    seed: int = 0
    shuffle: bool = True
    """False keeps the sequences in the order of the shards, which the pipeline has already shuffled globally."""
    window_sequences: int | None = None
    """Number of neighbouring sequences (of `max_seq_len` tokens) that are shuffled together. The stream is divided into
    windows of this length. 0 shuffles the whole stream at once. The default is 0 for local shards, and 65,536 for
    shards in an object store."""
    epochs: int | None = 1
    """Number of epochs over the shards in one pass. Each epoch has a different order. None means a pass without end."""
    drop_last: bool = True
    """Leaves out the last step of a pass if it does not fill a batch on every rank. With False, ranks may receive
    different numbers of batches and then wait for each other."""
    packing: Packing = "concatenate"
    """``concatenate`` cuts the stream into sequences of equal length, also within documents. ``best_fit`` packs whole
    documents into sequences and pads the rest; see :mod:`mixtures.best_fit`."""
    max_seq_len: int | None = None
    """The longest `seq_len` that this training will use. It must be a multiple of `seq_len`, and the default is
    `seq_len` itself. The stream is cut into cells of `max_seq_len` tokens. The cells are shuffled, and the sequences of
    a cell stay in order. So a state can be loaded with any `seq_len` that divides `max_seq_len`. This setting is only
    for the packing ``concatenate``."""
    skip_sequences: Sequence[tuple[int, int]] = ()
    """The sequences to leave out, as ranges (first, end) of places in the order of sequences. Place 0 is the first
    sequence of the first pass. With B sequences per step over all ranks, step N holds the places from N * B to before
    (N + 1) * B."""
    accept_other_data: bool = False
    """True accepts a state that was saved on different data. The loader then continues at the same place in the new
    data.
    """

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
    """Identifies one loading process. The process loads every ``num_workers``-th batch of its rank."""

    rank: int = 0
    num_ranks: int = 1
    worker: int = 0
    num_workers: int = 1

    def __post_init__(self) -> None:
        for one, many in (("rank", "num_ranks"), ("worker", "num_workers")):
            if not 0 <= getattr(self, one) < getattr(self, many):
                raise ValueError(f"{one} {getattr(self, one)} is not among {getattr(self, many)} ({many})")


class Skips:
    """Converts a place in the order of sequences to the number of places before it that are not skipped, and back.

    In the example, the places 2 and 3 are skipped. So three places that are not skipped precede place 5: 0, 1 and 4.

    >>> skips = Skips([(2, 4)])
    >>> [int(skips.place(n)) for n in range(4)], [int(skips.count(p)) for p in range(6)]
    ([0, 1, 4, 5], [0, 1, 2, 2, 2, 3])
    """

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._ranges = [(int(first), int(end)) for first, end in ranges]

    def count(self, place: int) -> int:
        """Returns the number of unskipped places before ``place``."""
        return place - sum(min(max(place - first, 0), end - first) for first, end in self._ranges)

    def place(self, count: Any) -> Any:
        """Returns the place of the sequence that is read after ``count`` others. ``count`` is an integer or an array of
        integers."""
        for first, end in self._ranges:
            count = count + (count >= first) * (end - first)
        return count
