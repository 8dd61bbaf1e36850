"""Holds the tokens of several batches, and makes each batch on request. The tokens are looked up all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mixtures.batch import Batch
from mixtures.packing import PackedSegments

Array = np.ndarray[Any, Any]


class BatchPlan:
    """Holds the tokens of several batches, and makes each batch on request.

    Looking up the sequences of many batches at once takes much less time than looking up each batch separately.
    """

    def __init__(self, found: PackedSegments, sequences: Array, num_rows: Sequence[int]) -> None:
        """Divides sequences among batches.

        Args:
            found: the tokens and segments of the sequences.
            sequences: the number that identifies each sequence in the stream.
            num_rows: for each batch, how many sequences it gets.
        """
        self._found, self._sequences = found, sequences
        self._ends = np.concatenate([[0], np.cumsum(num_rows)]).astype(np.int64)
        first = self._ends[:-1].repeat(num_rows)
        rows = (np.arange(len(sequences)) - first) * found.tokens.shape[1]
        self._begins = found.begins + rows.repeat(np.diff(found.ends))

    def __len__(self) -> int:
        """Returns the number of batches."""
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch(number) for number in range(len(self)))

    def batch(self, number: int, dtype: type[np.integer[Any]] = np.int64) -> Batch:
        """Returns the batch with this number, counted from 0. ``dtype`` is the type of its ids."""
        found, first, last = self._found, int(self._ends[number]), int(self._ends[number + 1])
        segments = slice(int(found.ends[first]), int(found.ends[last]))
        return Batch(
            input_ids=found.tokens[first:last].astype(dtype),
            segment_begins=self._begins[segments],
            segment_sources=found.sources[segments],
            sequences=self._sequences[first:last],
        )
