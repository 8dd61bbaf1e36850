"""Looks up or computes how many tokens the documents of a source have."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.ledger import MAX_SAMPLE_CHARS
from pipeline.files.files import exists, read_bytes
from pipeline.report.collect import Tokens
from pipeline.report.documents import Floats, Part
from pipeline.report.output_state import RunState, SourceState
from tokenizer.codec import JSON, MODEL
from tokenizer.encode import Encoder


class TokenCounts:
    """Finds the number of tokens of documents, if the output of the run shows it.

    For kept documents, the run's token files have the numbers. If a token file is missing, the number is estimated from
    the size of the text and the average tokens per byte of the source. If the text of a dropped document is stored, its
    tokens are counted with the run's tokenizer.
    """

    def __init__(self, state: RunState, one: SourceState) -> None:
        self._layout = state.layout
        self._tokens = Tokens(state.layout.tokens(one.name))
        stats = one.stats or {}
        size, tokens = stats.get("bytes", {}).get("kept", 0), stats.get("tokens")
        self._per_byte = tokens / size if tokens is not None and size else np.nan

    def columns(self, part: Part) -> list[str]:
        """Returns the columns of ``clean/`` that :meth:`of` needs besides the id."""
        return [] if self._tokens.has(part) else ["text"]

    def of(self, part: Part, batch: pa.RecordBatch) -> Floats:
        """Returns the number of tokens of each kept document; NaN if it is not known."""
        if "text" not in batch.schema.names:
            return self._tokens.of(part, batch.column("id").to_pylist())
        sizes: Floats = pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False).astype(np.float64)
        return sizes * self._per_byte

    def of_sampled(self, rows: pa.RecordBatch, chosen: npt.NDArray[np.bool_]) -> Floats:
        """Returns the number of tokens of each dropped document. The number is NaN for documents that are not in
        ``chosen``, and for documents whose whole text is not in ``dropped/``.
        """
        found = np.full(rows.num_rows, np.nan)
        texts = rows.column("text")
        lengths = pc.fill_null(pc.utf8_length(texts), MAX_SAMPLE_CHARS).to_numpy(zero_copy_only=False)
        index = np.flatnonzero(chosen & (lengths < MAX_SAMPLE_CHARS))
        if len(index) and self._encoder is not None:
            found[index] = pc.list_value_length(self._encoder.encode_batch(texts.take(pa.array(index)))).to_numpy()
        return found

    @functools.cached_property
    def _encoder(self) -> Any:
        """The run's tokenizer; None if the output has none. A rank file is not used, because it lacks settings."""
        path = next((p for name in (MODEL, JSON) if exists(p := self._layout.tokenizer(name))), None)
        return None if path is None else Encoder.load(read_bytes(path), bos=None, eos=None)
