"""Finds the items of evaluation sets in documents.

    words -> seeds of the index -> alignments of pieces and documents -> those that match enough -> hits

A piece is the text of a question, a passage or code. An alignment is the assumption that a piece begins at a certain
word of a document. If a document contains a seed (an n-gram of a piece), this gives an alignment.

Every word of a piece has a weight, and rare words have more weight. Compiled code adds up the weights of the words that
match in each alignment. Python examines a piece further only if the sums of all its alignments together reach 40 % of
the piece's total weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.decontaminate.common_hashes import common_hashes
from filters.decontaminate.index import (
    FULL_WEIGHT,
    NEEDS_ANSWER,
    STRIDE,
    Index,
    Seeds,
    matching_weights,
    ngram_hashes,
)
from filters.decontaminate.words import I64, U32, HashedWords, split_words

RULE_VERSION = 2
"""Version of the rules in this file. It is stored with every hit."""

FULL_SCORE_WORDS, LOWEST_SCORE_WORDS = 8, 20
MIN_SCORE_SHORT, MIN_SCORE_LONG = 0.95, 0.8
"""Minimum share of a piece's weight that must match: 95 % for a piece of up to 8 words, and 80 % for a piece of 20 or
more words. Between these lengths the limit is interpolated linearly. A text that differs from a question in one of
eight words may be a different question. A text that differs in one of twenty words is the same question."""
MIN_PART_SCORE, MIN_PART_WORDS, MIN_PART_WEIGHT = 0.4, 13, 5.0
"""A piece is also found if 40 % of its weight matches, and if 13 successive words match (GPT-3, appendix C). These
successive words must have at least the weight 5, which is the weight of five rare words. This rule finds questions
without their beginning or end."""
MIN_RUN_WORDS = 3
"""Minimum number of successive equal words. Shorter runs of equal words are ignored, because they can be coincidence.
"""
MAX_SHIFT_WORDS = 40
"""Two alignments of a piece (see above) are judged together, as one hit, if they begin at most this many words apart. A
piece has several alignments if the document has additional words inside the piece, or lacks words of the piece."""
ANSWER_AFTER_WORDS, ANSWER_BEFORE_WORDS = 60, 30
"""An answer is near its question in two cases: it begins within 60 words after the question, or it ends within 30 words
before the question."""
SHORT_ANSWER_AFTER_WORDS = 25
"""Limit for an answer after the question: the answer must begin within this many words after the question. The limit
applies in two cases. A question that is found only together with its answer is not found if the answer begins later.
For all questions, the span of a hit does not include an answer that begins later. Otherwise too much text between
question and answer would be cut."""
COMMON_ANSWER_AFTER_WORDS, WEAK_ANSWER_WORDS = 12, 3
"""A stricter limit for weak answers, which have fewer than three words, all of them common. If a question is found only
together with a weak answer, the answer must begin within 12 words after the question. Four choices of two words each,
with their letters, have 12 words, so they fit between question and answer."""
_MIN_LONG_ANSWER_WORDS = 8
_ANSWER_NGRAM_WORDS = 3


@dataclass(frozen=True, slots=True)
class Found:
    """Describes a piece that was found in a document."""

    document: int
    piece: int
    start_char: int
    end_char: int
    score: float
    """The share of the piece's weight that matches."""
    answer_score: float
    """1 if the whole answer is near the question. If only a part of an answer of at least 8 words is after the
    question, the share of the answer's 3-grams that are there. Otherwise 0."""
    is_whole: bool
    """False if only a part of the piece matches."""


def find(index: Index, texts: Sequence[str]) -> list[Found]:
    """Returns the pieces of the index that the documents contain. They are sorted by document, by position in the
    document, and by the number of the piece.

    The result for a document does not depend on the other documents.
    """
    words = split_words(texts)
    found = [
        hit
        for document, piece, shifts in _candidates(index, words)
        for hit in _hits(index, words, document, piece, shifts)
    ]
    return sorted(found, key=lambda hit: (hit.document, hit.start_char, hit.end_char, hit.piece))


def _candidates(index: Index, words: HashedWords) -> Iterator[tuple[int, int, I64]]:
    """Yields each document and piece that may match. The third value is an array with the numbers of the document's
    words at which the piece may begin."""
    alignments = [
        _aligned(index, words, seeds, stride)
        for seeds, stride in ((index.seeds, STRIDE), (index.near_seeds, 1), (index.short_seeds, 1))
        if len(seeds.places)
    ]
    if not alignments:
        return
    documents, pieces, shifts = (np.concatenate([one[i] for one in alignments]) for i in range(3))
    order = np.lexsort((shifts, pieces, documents))
    documents, pieces, shifts = documents[order], pieces[order], shifts[order]
    is_new = _changes(documents) | _changes(pieces) | _changes(shifts)
    documents, pieces, shifts = documents[is_new], pieces[is_new], shifts[is_new]
    if not len(documents):
        return
    weights = np.empty(len(documents), np.int64)
    matching_weights(
        documents, pieces, shifts, words.hashes, words.offsets, index.words, index.weights, index.piece_starts, weights
    )
    starts = np.flatnonzero(_changes(documents) | _changes(pieces))
    sums = np.add.reduceat(weights, starts)
    ends = np.append(starts[1:], len(documents))
    for group in np.flatnonzero(sums >= MIN_PART_SCORE * index.piece_weights[pieces[starts]]).tolist():
        first, end = int(starts[group]), int(ends[group])
        yield int(documents[first]), int(pieces[first]), shifts[first:end]


def _changes(values: I64) -> npt.NDArray[np.bool_]:
    """Returns a mask with one entry per value. An entry is True if the value is the first or differs from the previous
    value.
    """
    return np.concatenate([[True], values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.bool_)


def _aligned(index: Index, words: HashedWords, seeds: Seeds, stride: int) -> tuple[I64, I64, I64]:
    """Returns one alignment for each seed that a document contains. The result is three arrays: documents, pieces, and
    the numbers of the words at which the pieces would begin.

    The number of a word is counted from the start of its document. It is negative if the document begins inside the
    piece.
    """
    places, at = seeds.look_up(words.hashes, words.offsets, stride)
    same = np.ones(len(at), dtype=np.bool_)
    for offset in range(seeds.num_words):
        same &= index.words[at + offset] == words.hashes[places + offset]
    places, at = places[same], at[same]
    pieces = np.searchsorted(index.piece_starts, at, "right") - 1
    documents = np.searchsorted(words.offsets, places, "right") - 1
    return documents, pieces, places - words.offsets[documents] - (at - index.piece_starts[pieces])


def _hits(index: Index, words: HashedWords, document: int, piece: int, shifts: I64) -> Iterator[Found]:
    """Yields the hits of a piece in a document. Alignments that are close to each other are judged as one hit."""
    for close in np.split(shifts, np.flatnonzero(np.diff(shifts) > MAX_SHIFT_WORDS) + 1):
        hit = _hit(index, words, document, piece, close)
        if hit is not None:
            yield hit


def _hit(index: Index, words: HashedWords, document: int, piece: int, shifts: I64) -> Found | None:
    """Judges all alignments in ``shifts`` together. Returns one hit, or None if too little of the piece matches."""
    of_piece = slice(int(index.piece_starts[piece]), int(index.piece_starts[piece + 1]))
    wanted, weights = index.words[of_piece], index.weights[of_piece].astype(np.int64)
    begin = int(words.offsets[document])
    text = words.hashes[begin : int(words.offsets[document + 1])]
    is_found = np.zeros(len(wanted), dtype=np.bool_)
    best_run, best_weight, first, last = 0, 0, len(text), 0
    for shift in shifts.tolist():
        for start, end in _runs(wanted, text, shift):
            is_found[start:end] = True
            weight = int(weights[start:end].sum())
            if end - start >= MIN_PART_WORDS and weight > best_weight:
                best_run, best_weight = end - start, weight
            first, last = min(first, start + shift), max(last, end + shift)
    score = float(weights[is_found].sum() / weights.sum()) if is_found.any() else 0.0
    is_whole = score >= _min_score(len(wanted))
    is_part = score >= MIN_PART_SCORE and best_run > 0 and best_weight >= MIN_PART_WEIGHT * FULL_WEIGHT
    needs_answer = index.piece_states[piece] == NEEDS_ANSWER
    if not (bool(is_found.all()) if needs_answer else is_whole or is_part):
        return None
    answer = index.answers[int(index.answer_starts[piece]) : int(index.answer_starts[piece + 1])]
    is_common = bool(needs_answer) and len(answer) < WEAK_ANSWER_WORDS and bool(np.isin(answer, common_hashes()).all())
    answer_score, answer_end = _answer(
        answer, text, first, last, is_short=bool(needs_answer), is_common=is_common
    )  # fmt: skip
    if needs_answer and answer_score < 1:
        return None
    end_word = max(last, answer_end) if answer_end - len(answer) <= last + SHORT_ANSWER_AFTER_WORDS else last
    return Found(
        document, piece, int(words.starts[begin + first]), int(words.ends[begin + end_word - 1]),
        round(score, 4), round(answer_score, 4), is_whole,
    )  # fmt: skip


def _min_score(num_words: int) -> float:
    """Returns the score that a piece with this number of words must reach to count as found.

    >>> _min_score(8), _min_score(20), round(_min_score(14), 3)
    (0.95, 0.8, 0.875)
    """
    share = (num_words - FULL_SCORE_WORDS) / (LOWEST_SCORE_WORDS - FULL_SCORE_WORDS)
    return MIN_SCORE_SHORT - min(1.0, max(0.0, share)) * (MIN_SCORE_SHORT - MIN_SCORE_LONG)


def _runs(wanted: U32, text: npt.NDArray[np.uint64], shift: int) -> list[tuple[int, int]]:
    """Finds runs of at least ``MIN_RUN_WORDS`` equal words in an alignment. Returns the start and end of each run, as
    indices of the piece's words.
    """
    first, last = max(0, -shift), min(len(wanted), len(text) - shift)
    equal = np.zeros(last - first + 2, dtype=np.bool_)
    equal[1:-1] = wanted[first:last] == text[first + shift : last + shift]
    edges = np.flatnonzero(equal[1:] != equal[:-1]) + first
    return [(s, e) for s, e in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True) if e - s >= MIN_RUN_WORDS]


def _answer(
    answer: U32, text: npt.NDArray[np.uint64], first: int, last: int, *, is_short: bool, is_common: bool
) -> tuple[float, int]:
    """Searches for the answer near a question. Returns two values: a score, and the index of the word after the answer.

    The score is 1 if the whole answer was found. For an answer of at least 8 words, it is otherwise the share of the
    answer's 3-grams that were found after the question. The index is 0 unless the whole answer was found after the
    question.
    """
    if not len(answer):
        return 0.0, 0
    within = SHORT_ANSWER_AFTER_WORDS if is_short else ANSWER_AFTER_WORDS
    after = last + len(answer) + (COMMON_ANSWER_AFTER_WORDS if is_common else within)
    place = _place_of(answer, text[last:after])
    if place is not None:
        return 1.0, last + place + len(answer)
    if is_common:
        return 0.0, 0
    before = text[max(0, first - len(answer) - ANSWER_BEFORE_WORDS) : first]
    if _place_of(answer, before) is not None:
        return 1.0, 0
    if len(answer) < _MIN_LONG_ANSWER_WORDS:
        return 0.0, 0
    wanted = _ngrams(answer.astype(np.uint64))
    return len(wanted & _ngrams(text[last : after + len(answer)])) / len(wanted), 0


def _place_of(answer: U32, text: npt.NDArray[np.uint64]) -> int | None:
    """Returns the index of the answer's first word in ``text``, or None if ``text`` does not contain the answer."""
    if len(text) < len(answer):
        return None
    for place in np.flatnonzero(text[: len(text) - len(answer) + 1] == answer[0]).tolist():
        if (text[place : place + len(answer)] == answer).all():
            return int(place)
    return None


def _ngrams(words: npt.NDArray[np.uint64]) -> set[int]:
    places = np.arange(max(0, len(words) - _ANSWER_NGRAM_WORDS + 1), dtype=np.int64)
    return set(ngram_hashes(words, places, _ANSWER_NGRAM_WORDS).tolist())
