"""Defines a batch of packed sequences. A batch contains everything that attention kernels and losses need to keep
documents apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PADDING = -1
"""The value for padding in ``segment_sources``. All other values are indices into ``TokenStream.source_names``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Holds a batch of packed sequences. A segment is the part of one document that lies in one sequence."""

    input_ids: Array
    """int64 (int32 in the batches for Grain), shape (sequences, seq_len + 1). The inputs are ``[:, :-1]``, the labels
    are ``[:, 1:]``."""
    segment_begins: Array
    """int64: indices into ``input_ids.ravel()`` at which segments begin. Every sequence begins with a new segment.
    These indices count seq_len + 1 tokens per row. The inputs have one token less, so attention kernels need the result
    of :meth:`cu_seqlens` instead."""
    segment_sources: Array
    """int8: the source of each segment, as an index into ``TokenStream.source_names``. Padding is -1."""
    sequences: Array
    """int64: the number that identifies each sequence in the stream."""

    def spread(self, values: Array) -> Array:
        """Returns an array shaped like ``input_ids`` in which every token has the value of its segment.

        Args:
            values: one value per segment.
        """
        begins = self.segment_begins
        lengths = np.empty_like(begins)
        np.subtract(begins[1:], begins[:-1], out=lengths[:-1])
        lengths[-1:] = self.input_ids.size - begins[-1:]
        return np.asarray(values.repeat(lengths).reshape(self.input_ids.shape))

    def segment_numbers(self) -> Array:
        """Numbers the segments of each sequence from 0. Returns int32, one value per segment."""
        rows = self.segment_begins // self.input_ids.shape[1]
        return np.asarray((np.arange(len(rows)) - rows.searchsorted(rows)).astype(np.int32))

    def segment_ids(self) -> Array:
        """Returns, for each token, the number of its segment: int32, shaped like ``input_ids``.

        The segments of each sequence are numbered from 0.
        """
        return self.spread(self.segment_numbers())

    def positions(self) -> Array:
        """Returns the offset of each token in its segment, from 0: int32, shaped like ``input_ids``."""
        begins = self.spread(self.segment_begins.astype(np.int32))
        indices = _indices(begins.size).reshape(begins.shape)
        return np.asarray(np.subtract(indices, begins, out=begins))

    def sources(self) -> Array:
        """Returns, for each token, the index of its source in ``TokenStream.source_names``. Padding is -1.

        The array is int8 and shaped like ``input_ids``. A training can use it to compute a loss per source.
        """
        return self.spread(self.segment_sources)

    def cu_seqlens(self) -> Array:
        """Returns the cumulative lengths (int32) of the segments in the inputs, ``input_ids[:, :-1]``.

        Variable-length attention needs these lengths. They are indices into the flattened inputs: the first is 0, and
        the last is the number of input tokens. Pass them as both ``cu_seqlens_q`` and ``cu_seqlens_k`` of
        FlashAttention, or as both ``cu_seq_q`` and ``cu_seq_k`` of ``torch.nn.attention.varlen.varlen_attn``.

        >>> batch = Batch(
        ...     input_ids=np.zeros((2, 5), np.int64),
        ...     segment_begins=np.array([0, 3, 5, 9]),
        ...     segment_sources=np.zeros(4, np.int8),
        ...     sequences=np.arange(2),
        ... )
        >>> batch.cu_seqlens().tolist(), batch.max_seqlen()
        ([0, 3, 4, 8], 4)
        """
        num_rows, width = self.input_ids.shape
        row, column = np.divmod(self.segment_begins.astype(np.int32), np.int32(width))
        begins = row * np.int32(width - 1) + column
        has_inputs = column < width - 1  # a segment in the last column has only a label
        return np.append(begins[has_inputs], np.int32(num_rows * (width - 1)))

    def max_seqlen(self) -> int:
        """Returns the length of the longest segment of the inputs. Attention kernels need this length and
        `cu_seqlens`.
        """
        return int(np.diff(self.cu_seqlens()).max())

    def loss_mask(self) -> Array:
        """Returns a mask (bool, shape (sequences, seq_len)). It is True where the label is in the same document as its
        input.

        The mask is False at padding. It is also False at the label after a document's eos, because that label is the
        first token of an unrelated document.
        """
        is_document = self.segment_sources != PADDING
        mask = np.ones(self.input_ids.shape, bool) if is_document.all() else self.spread(is_document)
        mask.reshape(-1)[self.segment_begins] = False
        return mask[:, 1:]


@lru_cache(maxsize=4)
def _indices(size: int) -> Array:
    """Returns the numbers from 0 to ``size`` - 1: int32, read-only.

    The result is cached, because almost all batches of a loader have the same size.
    """
    indices = np.arange(size, dtype=np.int32)
    indices.setflags(write=False)
    return indices
