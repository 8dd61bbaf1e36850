"""Scores texts as :class:`filters.ccnet.perplexity.PerplexityModel` does, with compiled loops.

The compiled loops take the pieces of a text directly to the n-grams. The packages need a list of pieces between them,
and search each piece in the vocabulary again. The results are exactly the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.ccnet.kenlm_tables import open_tables, words_in
from filters.ccnet.ngram_kernels import Ngrams, score_pieces
from filters.ccnet.one_pass import SPACE_SYMBOL, OnePassNormalizer, has_other_space
from filters.ccnet.perplexity import PerplexityModel
from filters.ccnet.piece_kernels import ROOM, UNIT, Pieces, build_trie, split_text

MAX_BYTES = 1 << 31
"""The packages score texts of this size, because the loops count bytes with 32 bits."""
_PROBE_PIECES = 300
_UNKNOWN_PENALTY = np.float32(10)
"""SentencePiece subtracts this from the lowest score of a piece, for characters that no piece contains."""


@dataclass(frozen=True, slots=True)
class CompiledPerplexityModel(PerplexityModel):
    """Scores texts in one language with compiled loops. The scores are those of :class:`PerplexityModel`."""

    normalizer: OnePassNormalizer
    tables: Pieces
    ngrams: Ngrams
    word_of_piece: npt.NDArray[np.int64]
    """For each piece, its number in the vocabulary of the n-grams. 0 if it is not in the vocabulary."""

    def perplexity(self, text: str) -> float | None:
        codes = self.normalizer.normalize(text)
        if not len(codes):
            return None
        if len(codes) >= MAX_BYTES or has_other_space(codes):
            return PerplexityModel.perplexity(self, text)
        ends, ids = np.empty((2, len(codes)), np.int32)
        num_pieces = split_text(codes, self.tables, ends, ids)
        log10 = score_pieces(codes, ends, ids, num_pieces, self.word_of_piece, self.ngrams)
        return round(float(10.0 ** (-float(log10) / (num_pieces + 1))), 1)


def compiled(
    model: PerplexityModel, lm_path: str, score_of_piece: Mapping[str, float], charsmap: bytes
) -> PerplexityModel:
    """Returns the same model with compiled loops. If they cannot evaluate the model, returns the model itself.

    Args:
        model: the model. Its SentencePiece model must be of the type unigram, and normalise as
            :class:`filters.ccnet.one_pass.OnePassNormalizer` needs it.
        lm_path: the path of the KenLM model. Only binary models with hash tables are evaluated.
        score_of_piece: the scores of the SentencePiece model's normal pieces. The model must have no other pieces that
            occur in texts.
        charsmap: the SentencePiece model's rules for characters (``precompiled_charsmap``).
    """
    ngrams = open_tables(lm_path)
    pieces = sorted(text.replace(SPACE_SYMBOL, " ").encode("utf-8") for text in score_of_piece)
    if ngrams is None or not pieces or any(not text or any(c <= " " for c in text) for text in score_of_piece):
        return model
    spellings = [piece.replace(b" ", SPACE_SYMBOL.encode("utf-8")) for piece in pieces]
    scores = np.array([score_of_piece[spelling.decode("utf-8")] for spelling in spellings], np.float32)
    normalizer, trie = OnePassNormalizer(model.pieces, charsmap), _trie_of(pieces, scores)
    found = CompiledPerplexityModel(
        model.pieces, model.lm, model.cutoffs, normalizer, trie, ngrams, words_in(ngrams, spellings)
    )
    probe = " ".join(
        spellings[i].decode("utf-8") for i in range(0, len(spellings), 1 + len(spellings) // _PROBE_PIECES)
    )
    # They differ if the file was replaced since KenLM opened it, or if another version of a package is installed.
    return found if found.perplexity(probe) == model.perplexity(probe) else model


def _trie_of(pieces: Sequence[bytes], scores: npt.NDArray[np.float32]) -> Pieces:
    codes = np.frombuffer(b"".join(pieces), np.uint8)
    bounds = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
    num_nodes, used = len(codes) + 1, -1
    while used < 0:
        num_nodes *= 2
        units = np.full((num_nodes + ROOM) * UNIT, -1, np.int32)
        used = build_trie(codes, bounds, units)
    units = units[: (used + ROOM) * UNIT].copy()
    floats = units.view(np.float32)
    ids = units[2::UNIT]
    floats[3::UNIT][ids >= 0] = scores[ids[ids >= 0]]
    return Pieces(units, floats, scores.min() - _UNKNOWN_PENALTY)
