"""A batch of packed sequences, with everything that attention kernels and losses need to keep documents apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PADDING = -1
"""The number of the source of padding, in place of an index into ``TokenStream.source_names``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Packed sequences. A segment is the piece of one document that lies in one sequence."""

    input_ids: Array
    """int64, (sequences, seq_len + 1): inputs are ``[:, :-1]``, labels ``[:, 1:]``."""
    segment_begins: Array
    """int64: indices into ``input_ids.ravel()`` at which the segments begin; every sequence begins one. They count rows
    of seq_len + 1 tokens, so they are not the cumulative lengths that attention kernels take: see `cu_seqlens`."""
    segment_sources: Array
    """int8: the source of each segment, an index into ``TokenStream.source_names``; -1 for padding."""
    sequences: Array
    """int64: the number of each sequence in the stream."""

    def segment_ids(self) -> Array:
        """Returns int32 like ``input_ids``: the number of the token's segment within its sequence, from 0."""
        marks = np.zeros(self.input_ids.shape, np.int32)
        marks.reshape(-1)[self.segment_begins] = 1
        marks[:, 0] = 0
        return np.asarray(np.cumsum(marks, axis=1, out=marks))

    def positions(self) -> Array:
        """Returns int32 like ``input_ids``: the token's offset in its segment, from 0."""
        positions = np.ones(self.input_ids.size, np.int32)
        positions[0] = 0
        begins = self.segment_begins
        positions[begins[1:]] = 1 - np.diff(begins)
        return np.asarray(np.cumsum(positions, out=positions).reshape(self.input_ids.shape))

    def sources(self) -> Array:
        """Returns int8 like ``input_ids``: the source of every token, for a loss per source; -1 for padding."""
        lengths = np.diff(self.segment_begins, append=self.input_ids.size)
        return np.repeat(self.segment_sources, lengths).reshape(self.input_ids.shape)

    def cu_seqlens(self) -> Array:
        """Returns int32: the cumulative lengths of the segments of the inputs, for attention of variable length.

        They index ``input_ids[:, :-1].ravel()``: 0 first, the number of input tokens last. Take them as both
        ``cu_seqlens_q`` and ``cu_seqlens_k`` of FlashAttention, or as ``cu_seq_q`` and ``cu_seq_k`` of
        ``torch.nn.attention.varlen.varlen_attn``.

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
        row, column = np.divmod(self.segment_begins, width)
        begins = (self.segment_begins - row)[column < width - 1]  # one that begins in the last column is only a label
        return np.append(begins, num_rows * (width - 1)).astype(np.int32)

    def max_seqlen(self) -> int:
        """Returns the length of the longest segment of the inputs, which kernels take beside `cu_seqlens`."""
        return int(np.diff(self.cu_seqlens()).max())

    def loss_mask(self) -> Array:
        """Returns bool (sequences, seq_len): True where the label continues the input's own document.

        False at the label after a document's eos (it is the bos of an unrelated document) and at padding.
        """
        segments = self.segment_ids()
        same = segments[:, 1:] == segments[:, :-1]
        return np.asarray(same & (self.sources()[:, 1:] != PADDING))
