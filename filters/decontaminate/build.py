"""Builds the index of evaluation sets. The index contains pieces, the weights of their words, and seeds. A piece is the
text of a question, a passage or code. A seed is an n-gram by which a piece is found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from filters.decontaminate.common_hashes import common_hashes
from filters.decontaminate.index import (
    FINDABLE,
    FULL_WEIGHT,
    MIN_WORDS,
    NEEDS_ANSWER,
    SEED_WORDS,
    SHORT_SEED_WORDS,
    STRIDE,
    TOO_COMMON,
    TOO_SHORT,
    U8,
    Index,
    make_seeds,
    ngram_hashes,
    ragged,
)
from filters.decontaminate.items import PARTS, EvalSet, Item, answer_texts, parts_of
from filters.decontaminate.words import I64, U32, U64, is_single, split_words

MAX_WORDS = 1 << 25
"""Maximum number of words in all sets together. With more words, the index would take more than about 300 MB."""
MAX_PIECE_WORDS = 1000
"""Maximum number of words in a piece. Longer texts are split into several pieces. This limits the time for comparing a
piece with a document."""
MAX_PLACES = 32
"""A seed (an n-gram by which an item is found) occurs at most this many times in all pieces. A more frequent n-gram
belongs to the template of a set, not to a single item."""
MAX_TEXT_CHARS = 2000
"""The index stores at most this many characters of each text of an item, to show them next to the hits."""
MIN_WEIGHT = 2.5
"""Minimum weight of a question that is found without its answer. A question with a lower weight is found only together
with its answer. The weight of a question is the sum of the weights of its words. A rare word has the weight 1.
"""
MIN_WEIGHT_WITH_ANSWER = 2.0
"""Minimum weight of a question and its answer together, for a question that is found only with its answer. If their
weight is lower, the question is never found. The limit does not apply to a question of at least 8 words with a word
that is not common (see ``MIN_ANSWER_WEIGHT``)."""
MIN_ANSWER_WEIGHT = 0.3
"""Minimum weight of the answer, for a question that is found only with its answer. If the answer's weight is lower, the
question is never found. Answers such as "yes", "B" and "4" have a lower weight, because they occur near every question.
The limit does not apply to a question of at least 8 words with a word that is not common. For this, numbers and single
letters count as words that are not common. Otherwise many exercises in arithmetic would have no such word."""
_COMMON_WEIGHT = 0.1
_NUM_BACKGROUND_ITEMS = 10_000
"""A small set does not show which words are rare in a language. So the weights of words are computed as if the sets had
at least this many items."""
_BATCH_ITEMS = 4096


class TooManyWords(ValueError):  # noqa: N818 - the name says what is wrong
    """Raised if the sets have more words than an index can hold."""


class _Pieces:
    """Collects pieces (texts of items). Equal pieces of a set are stored once."""

    def __init__(self) -> None:
        self.words: list[U32] = []
        self.answers: list[U32] = []
        self.sets: list[int] = []
        self.parts: list[int] = []
        self.items: list[list[int]] = []
        self.num_words = 0
        self._known: dict[tuple[int, int, bytes, bytes], int] = {}

    def add(self, set_number: int, part: int, words: U32, answer: U32, item: int) -> None:
        """Adds a piece of an item. If the set already has an equal piece (same part, words and answer), only adds the
        item to that piece."""
        key = (set_number, part, words.tobytes(), answer.tobytes())
        known = self._known.setdefault(key, len(self.sets))
        if known < len(self.sets):
            if self.items[known][-1] != item:
                self.items[known].append(item)
            return
        self.num_words += len(words)
        if self.num_words > MAX_WORDS:
            raise TooManyWords(
                f"the evaluation sets have more than {MAX_WORDS:,} words; leave the column of their passages out, or "
                f"check them in two runs"
            )
        self.words.append(words)
        self.answers.append(answer)
        self.sets.append(set_number)
        self.parts.append(part)
        self.items.append([item])


def build_index(sets: Sequence[EvalSet]) -> Index:
    """Returns the index of the given sets. The order of sets and items does not change what is found.

    Raises:
        TooManyWords: the sets have more than 33 million words.
    """
    pieces, texts, item_sets = _Pieces(), list[bytes](), list[int]()
    for number, one in enumerate(sets):
        for items in _batched(one.items):
            _add_items(pieces, number, items, first=len(texts))
            texts += [_text_of(item) for item in items]
            item_sets += [number] * len(items)
    starts = _starts(pieces.words)
    words = np.concatenate([*pieces.words, np.zeros(0, np.uint32)])
    answers = np.concatenate([*pieces.answers, np.zeros(0, np.uint32)])
    weights = _weights(words, starts)
    answer_starts = _starts(pieces.answers)
    sums = _sums(weights, starts)
    states = _states(words, starts, sums, _sums(_known_weights(answers, words, weights), answer_starts))
    (hashes, found), has_seed, is_covered = _long_seeds(words, starts, states)
    places, short_states, is_found = _short_places(words, weights, starts, states, has_seed, is_covered)
    is_near = (has_seed & ~is_covered & ~is_found)[np.searchsorted(starts, found, "right") - 1]
    short_words = words.astype(np.uint64) if len(places) else np.zeros(0, np.uint64)
    return Index(
        sets=tuple(one.rules for one in sets),
        words=words,
        weights=weights,
        piece_starts=starts,
        piece_sets=np.array(pieces.sets, dtype=np.uint16),
        piece_parts=np.array(pieces.parts, dtype=np.uint8),
        piece_states=short_states,
        piece_weights=sums.astype(np.uint32),
        answer_starts=answer_starts,
        answers=answers,
        item_starts=np.cumsum([0, *map(len, pieces.items)]).astype(np.int64),
        piece_items=np.array([item for items in pieces.items for item in items], dtype=np.uint32),
        item_sets=np.array(item_sets, dtype=np.uint16),
        text_starts=_starts([np.frombuffer(text, np.uint8) for text in texts]),
        texts=np.frombuffer(b"".join(texts), dtype=np.uint8),
        seeds=make_seeds(hashes[~is_near], found[~is_near], SEED_WORDS),
        near_seeds=make_seeds(hashes[is_near], found[is_near], SEED_WORDS),
        short_seeds=make_seeds(ngram_hashes(short_words, places, SHORT_SEED_WORDS), places, SHORT_SEED_WORDS),
    )


def _batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    held: list[Item] = []
    for item in items:
        held.append(item)
        if len(held) >= _BATCH_ITEMS:
            yield held
            held = []
    if held:
        yield held


def _text_of(item: Item) -> bytes:
    texts = {part: text[:MAX_TEXT_CHARS] for part, text in parts_of(item)}
    answer = " / ".join(answer_texts(item))[:MAX_TEXT_CHARS]
    return json.dumps([item.id, texts, answer], ensure_ascii=False).encode("utf-8", "replace")


def _add_items(pieces: _Pieces, set_number: int, items: Sequence[Item], *, first: int) -> None:
    parts = [(number, part, text) for number, item in enumerate(items) for part, text in parts_of(item)]
    found = split_words([text for _, _, text in parts])
    answers = split_words([" ".join(answer_texts(item)) for item in items])
    words_of = [w.astype(np.uint32) for w in np.split(found.hashes, found.offsets[1:-1])] if parts else []
    answer_of = [w.astype(np.uint32) for w in np.split(answers.hashes, answers.offsets[1:-1])] if items else []
    none = np.zeros(0, np.uint32)
    for (number, part, _), words in zip(parts, words_of, strict=True):
        answer = answer_of[number] if part == "question" else none
        for piece in _cut(words):
            pieces.add(set_number, PARTS.index(part), piece, answer, first + number)


def _cut(words: U32) -> list[U32]:
    """Splits the words of a text into pieces of about equal length, each with at most ``MAX_PIECE_WORDS`` words."""
    num_pieces = -(-len(words) // MAX_PIECE_WORDS)
    return [piece for piece in np.array_split(words, num_pieces) if len(piece)] if num_pieces else []


def _starts(arrays: Sequence[npt.NDArray[np.generic]]) -> I64:
    return np.cumsum([0, *map(len, arrays)]).astype(np.int64)


def _sums(weights: U8, starts: I64) -> I64:
    sums = np.concatenate([[0], np.cumsum(weights, dtype=np.int64)])
    found: I64 = sums[starts[1:]] - sums[starts[:-1]]
    return found


def _weights(words: U32, starts: I64) -> U8:
    """Returns one weight per word of the pieces. The weight says how much the word counts if it matches.

    A word in only one piece has the weight 1. A common word, or a word in all pieces, has the weight 0.1. All other
    words have weights between 0.1 and 1. The weight falls with the logarithm of the number of pieces that contain the
    word, as in tf-idf. In scripts without spaces, each character is a word, with half the weight. The returned numbers
    are scaled: ``FULL_WEIGHT`` means the weight 1.
    """
    piece_of = np.repeat(np.arange(len(starts) - 1, dtype=np.uint64), np.diff(starts))
    pairs = np.unique((piece_of << np.uint64(32)) | words)
    known, counts = np.unique((pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32), return_counts=True)
    num_items = max(_NUM_BACKGROUND_ITEMS, len(starts) - 1)
    rarity = np.clip(1 - np.log(counts) / np.log(num_items), _COMMON_WEIGHT, 1.0)
    rarity[np.isin(known, common_hashes())] = _COMMON_WEIGHT
    rarity[is_single(known)] *= 0.5
    table = np.round(rarity * FULL_WEIGHT).astype(np.uint8)
    return table[np.searchsorted(known, words)] if len(words) else np.zeros(0, np.uint8)


def _known_weights(answers: U32, words: U32, weights: U8) -> U8:
    """Returns one weight per word of the answers. The weight says how much the word counts if it matches.

    A common word has the weight 0.1. Any other word has the same weight as in the pieces (the texts of questions,
    passages and code). If no piece contains the word, its weight is 1.
    """
    found = np.full(len(answers), FULL_WEIGHT, dtype=np.uint8)
    if len(words) and len(answers):
        known, first = np.unique(words, return_index=True)
        at = np.minimum(np.searchsorted(known, answers), len(known) - 1)
        is_known = known[at] == answers
        found[is_known] = weights[first[at[is_known]]]
    found[np.isin(answers, common_hashes())] = round(_COMMON_WEIGHT * FULL_WEIGHT)
    return found


def _states(words: U32, starts: I64, sums: I64, answer_sums: I64) -> U8:
    """Returns the state of each piece, as an index into ``STATES``. The state says whether a piece can be found, and
    whether its answer is needed."""
    num_words = np.diff(starts)
    singles = np.concatenate([[0], np.cumsum(is_single(words))])
    length = num_words - (singles[starts[1:]] - singles[starts[:-1]]) * 0.5
    states = np.full(len(num_words), FINDABLE, dtype=np.uint8)
    needs = (length < MIN_WORDS) | (sums < MIN_WEIGHT * FULL_WEIGHT)
    states[needs] = NEEDS_ANSWER
    is_vague = sums + answer_sums < MIN_WEIGHT_WITH_ANSWER * FULL_WEIGHT
    is_vague |= answer_sums < MIN_ANSWER_WEIGHT * FULL_WEIGHT
    owned = np.concatenate([[0], np.cumsum(~np.isin(words, common_hashes(with_symbols=False)))])
    is_vague &= (length < MIN_WORDS) | (owned[starts[1:]] == owned[starts[:-1]])
    states[needs & is_vague] = TOO_COMMON
    states[needs & (answer_sums == 0)] = TOO_SHORT
    states[num_words < SHORT_SEED_WORDS] = TOO_SHORT
    return states


def _long_seeds(
    words: U32, starts: I64, states: U8
) -> tuple[tuple[U64, I64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns the seeds of long pieces, as an array of hashes and an array of places. Also returns two masks with one
    entry per piece: True if the piece has a seed, and True if the piece is covered.

    Only every third n-gram of a document is looked up. A piece is covered if at least one of its seeds is looked up,
    wherever the piece begins in a document. For this, the places of its seeds must have all three remainders when
    divided by 3. A short piece that is mostly a template may have only one seed, so it is not covered.
    """
    pieces = np.flatnonzero((states <= NEEDS_ANSWER) & (np.diff(starts) >= MIN_WORDS))
    which, places = ragged(starts[pieces], np.diff(starts)[pieces] - SEED_WORDS + 1)
    hashes = ngram_hashes(words.astype(np.uint64), places, SEED_WORDS)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.bool_)
    group = np.cumsum(first) - 1
    is_rare = np.zeros(len(hashes), np.bool_)
    is_rare[order] = np.bincount(group)[group] <= MAX_PLACES if len(group) else False
    has_phase = np.zeros((len(states), STRIDE), np.bool_)
    has_phase[pieces[which[is_rare]], places[is_rare] % STRIDE] = True
    num_phases = has_phase.sum(axis=1)
    return (hashes[is_rare], places[is_rare]), num_phases > 0, num_phases == STRIDE


def _short_places(
    words: U32,
    weights: U8,
    starts: I64,
    states: U8,
    has_seed: npt.NDArray[np.bool_],
    is_covered: npt.NDArray[np.bool_],
) -> tuple[I64, U8, npt.NDArray[np.bool_]]:
    """Chooses one seed for each piece that the long seeds do not cover: the piece's rarest 3-gram. Every 3-gram of a
    document is looked up.

    Returns three arrays: the places of these seeds, the states of all pieces, and a mask that is True for pieces with
    such a seed.

    If even the rarest 3-gram of a piece is common, the piece gets no such seed. If it has no long seed either, its
    state becomes TOO_COMMON.
    """
    num_words = np.diff(starts)
    pieces = np.flatnonzero((states <= NEEDS_ANSWER) & ~is_covered)
    if not len(pieces):
        return np.zeros(0, np.int64), states, np.zeros(len(states), np.bool_)
    which, places = ragged(starts[pieces], num_words[pieces] - SHORT_SEED_WORDS + 1)
    weight = weights[places[:, None] + np.arange(SHORT_SEED_WORDS)].sum(axis=1, dtype=np.int64)
    order = np.lexsort((places, -weight, which))
    best = order[np.concatenate([[True], which[order][1:] != which[order][:-1]])]
    chosen = places[best]
    hashes = ngram_hashes(words.astype(np.uint64), chosen, SHORT_SEED_WORDS)
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    is_rare = counts[inverse] <= MAX_PLACES
    states = states.copy()
    states[pieces[~is_rare & ~has_seed[pieces]]] = TOO_COMMON
    is_found = np.zeros(len(states), np.bool_)
    is_found[pieces[is_rare]] = True
    return chosen[is_rare], states, is_found
