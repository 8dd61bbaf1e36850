"""Defines a batch of packed sequences. A batch contains everything that attention kernels and losses need to keep
documents apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PADDING = -1
"""Marks padding in ``segment_sources``, which otherwise holds indices into ``TokenStream.source_names``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Holds a batch of packed sequences. A segment is the part of one document that lies in one sequence."""

    input_ids: Array
    """int64, shape (sequences, seq_len + 1). The inputs are ``[:, :-1]``, the labels are ``[:, 1:]``."""
    segment_begins: Array
    """int64: indices into ``input_ids.ravel()`` at which segments begin. Every sequence begins with a new segment. Rows
    have seq_len + 1 tokens, so these are not the cumulative lengths that attention kernels take
    (:meth:`cu_seqlens`)."""
    segment_sources: Array
    """int8: the source of each segment, as an index into ``TokenStream.source_names``. Padding is -1."""
    sequences: Array
    """int64: the number of each sequence in the stream."""

    def segment_ids(self) -> Array:
        """Returns the number of each token's segment within its sequence, from 0: int32, shaped like ``input_ids``."""
        marks = np.zeros(self.input_ids.shape, np.int32)
        marks.reshape(-1)[self.segment_begins] = 1
        marks[:, 0] = 0
        return np.asarray(np.cumsum(marks, axis=1, out=marks))

    def positions(self) -> Array:
        """Returns the offset of each token in its segment, from 0: int32, shaped like ``input_ids``."""
        positions = np.ones(self.input_ids.size, np.int32)
        positions[0] = 0
        begins = self.segment_begins
        positions[begins[1:]] = 1 - np.diff(begins)
        return np.asarray(np.cumsum(positions, out=positions).reshape(self.input_ids.shape))

    def sources(self) -> Array:
        """Returns the source of each token, for a loss per source: int8, shaped like ``input_ids``. Padding is -1."""
        lengths = np.diff(self.segment_begins, append=self.input_ids.size)
        return np.repeat(self.segment_sources, lengths).reshape(self.input_ids.shape)

    def cu_seqlens(self) -> Array:
        """Returns the cumulative lengths of the inputs' segments (int32), for variable-length attention.

        The lengths are indices into ``input_ids[:, :-1].ravel()``. The first is 0 and the last is the number of input
        tokens. Pass them as both ``cu_seqlens_q`` and ``cu_seqlens_k`` of FlashAttention, or as both ``cu_seq_q`` and
        ``cu_seq_k`` of ``torch.nn.attention.varlen.varlen_attn``.

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
        begins = (self.segment_begins - row)[column < width - 1]  # a segment in the last column has only a label
        return np.append(begins, num_rows * (width - 1)).astype(np.int32)

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
        segments = self.segment_ids()
        same = segments[:, 1:] == segments[:, :-1]
        return np.asarray(same & (self.sources()[:, 1:] != PADDING))
