"""Predicts the labels of a whole batch of texts as fastText does, in half the time. This module is for models such as
lid.176.ftz.

Such a model is quantized with a cut-off, so most of its n-grams are pruned (left out). fastText looks up every n-gram
of every word of every page in a hash table, although the table lacks most n-grams. This module looks up every distinct
word of a batch only once, in arrays. The vector of a page is the sum of the vectors of its words.

fastText adds up a page's n-grams one after another in float32, with rounding errors. This module uses float64, so its
results differ slightly. Each result has a bound on this difference. If a difference of this size could change the
caller's decision, fastText itself scores the text (:meth:`LanguageModel.top_all`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_FNV_BASIS, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
END_OF_LINE = "</s>"
_SEPARATORS_BEYOND_ASCII_SPACE = "\0"
_LOG_OFFSET = 1e-5
"""fastText adds this number to a probability before it takes the logarithm (src/utils.h ``std_log``)."""
_WORDS_AT_ONCE = 1 << 15
"""Number of words looked up at once. Each word takes 1.5 kB of memory. This number of words fits into the processor's
cache."""
_TEXTS_AT_ONCE = 64
_UNIT = 2.0**-24
"""Largest relative error of one float32 sum, product or quotient."""
_ROUNDINGS_OF_A_PRODUCT = 20
"""How many times a result is rounded after the vectors of a text's words were added up. Two computations follow the
sum: the mean, which gives the text's vector of 16 numbers, and the product of this vector with a node's vector.
"""
_LEAST_ERROR = 1e-5
"""Bound on the error that the logarithms and their sum cause in a probability. It is fifty times the largest error seen
in real pages."""
LONGEST_WORD_BYTES = (1 << 12) - 3
"""Maximum length of a word, in bytes. fastText itself scores texts with a longer word. The compiled loops have no room
for such a word, and this module must leave the same texts to fastText as the compiled loops."""
MANY_ROWS = 200
"""If more than this number of vectors are added up for one word (one vector per n-gram), fastText itself scores the
text. In a sum of so many vectors, large values can cancel each other out, which makes rounding errors large."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrunedModel:
    """Holds the parts of a fastText classifier, in the form in which fastText stores them.

    The classifier adds up the vectors of words and of the words' n-grams of characters. Most n-grams are pruned (left
    out). The labels are the leaves of a binary tree (hierarchical softmax).
    """

    words: tuple[str, ...]
    """The words that the model knows. Word ``i`` has the vector ``rows[i]``."""
    labels: tuple[str, ...]
    label_counts: tuple[int, ...]
    """The count of each label, in descending order, as fastText sorts labels. fastText's tree is built from the
    counts."""
    label_prefix: str
    min_chars: int
    max_chars: int
    """Length of the longest n-gram in characters, at least 2. ``min_chars`` is the length of the shortest n-gram in
    characters, at least 1."""
    row_of_bucket: npt.NDArray[np.int32]
    """For each bucket of hashes, the index in ``rows`` of the vector of the bucket's n-grams. -1 if they were pruned.
    """
    rows: npt.NDArray[np.float32]
    """The vectors of the words and n-grams, of shape (rows, dimensions)."""
    output: npt.NDArray[np.float32]
    """The vectors of the tree's inner nodes, of shape (nodes, dimensions)."""


@dataclass(frozen=True, slots=True, eq=False)
class Guesses:
    """Holds predictions for ``n`` texts, one entry per text."""

    labels: list[str]
    probabilities: Floats
    errors: Floats
    """Largest possible difference between ``probabilities`` and the probability that fastText computes. Infinite if
    fastText could return another label.
    """


@dataclass(frozen=True, slots=True, eq=False)
class TextSums:
    """Holds the sums of ``n`` texts. ``sums`` and ``passed`` have the shape (dimensions, texts)."""

    sums: Floats
    """The sum of the vectors of each text's words and n-grams."""
    passed: Floats
    """The vectors of each word are added up. This is the sum of the absolute values of the results, over the words of a
    text. The bound on rounding errors is computed from it."""
    num_rows: Ints
    """The number of vectors in each sum."""
    is_asked: npt.NDArray[np.bool_]
    """True if fastText itself must score the text."""


class WordSums:
    """Evaluates a fastText model on texts. The vectors of each distinct word and its n-grams are added up only once per
    batch."""

    def __init__(self, model: PrunedModel) -> None:
        self.model = model
        self._words = pa.array(model.words, pa.string())
        self._is_kept = model.row_of_bucket >= 0
        self._columns = np.ascontiguousarray(model.rows.T, np.float64)
        self._output = model.output.T.astype(np.float64)
        self._paths = _paths(model.label_counts)
        self._levels = _levels(self._paths)
        self._last_steps = np.array([path[-1] for path in self._paths])
        end = model.words.index(END_OF_LINE) if END_OF_LINE in model.words else None
        self._end = np.zeros(len(self._columns)) if end is None else self._columns[:, end]
        self._num_ends = 0 if end is None else 1

    def guess(self, texts: pa.Array) -> Guesses:
        """Returns the most likely label of every text, its probability, and a bound on the probability's error. The
        texts must have no line ends."""
        if not len(texts):
            return Guesses([], np.empty(0), np.empty(0))
        found = self.sum_texts(texts.cast(pa.string()))
        total = found.num_rows + self._num_ends
        hidden = (self._end[:, None] + found.sums) / np.maximum(total, 1)
        passed = np.abs(self._end)[:, None] + found.passed
        # Adding n terms makes n rounding errors. Each is at most one unit of the sum of the terms' absolute values.
        # The mean divides by n, which leaves one unit of that sum.
        off = _UNIT * (passed + _ROUNDINGS_OF_A_PRODUCT * np.abs(hidden))
        labels, probabilities, errors = self._likeliest(hidden, off)
        errors[(total == 0) | found.is_asked] = np.inf
        return Guesses(labels, probabilities, errors)

    def sum_texts(self, texts: pa.Array) -> TextSums:
        """Returns, for each text, the sum of the vectors of its words and of their n-grams."""
        words, first = _split(texts)
        encoded = words.dictionary_encode()
        word, distinct = encoded.indices.to_numpy(), encoded.dictionary
        sums, num_rows = self._sum_words(distinct)
        is_filled = np.diff(first) > 0
        starts = first[:-1][is_filled]
        found = TextSums(
            sums=np.zeros((len(sums), len(texts))),
            passed=np.zeros((len(sums), len(texts))),
            num_rows=np.zeros(len(texts), np.int64),
            is_asked=np.zeros(len(texts), bool),
        )
        if len(starts):
            found.num_rows[is_filled] = np.add.reduceat(num_rows[word], starts)
            for column, way, sum_of in zip(found.sums, found.passed, sums, strict=True):
                of_words = sum_of[word]
                column[is_filled] = np.add.reduceat(of_words, starts)
                way[is_filled] = np.add.reduceat(np.abs(of_words, out=of_words), starts)
            is_long = pc.binary_length(distinct).to_numpy() > LONGEST_WORD_BYTES
            is_asked = self._is_mark(distinct) | (num_rows > MANY_ROWS) | is_long
            found.is_asked[is_filled] = np.logical_or.reduceat(is_asked[word], starts)
        return found

    def _is_mark(self, words: pa.Array) -> npt.NDArray[np.bool_]:
        """Returns a mask that is True for words that fastText does not treat as words. These are labels, and ``</s>``,
        which ends a text."""
        is_label = pc.starts_with(words, self.model.label_prefix)
        marks: npt.NDArray[np.bool_] = pc.or_(is_label, pc.equal(words, END_OF_LINE)).to_numpy(zero_copy_only=False)
        return marks

    def _sum_words(self, words: pa.Array) -> tuple[Floats, Ints]:
        """Adds up the vectors of each word and its n-grams. Returns the sums, of shape (dimensions, words), and the
        number of vectors in each sum."""
        parts = [self._sum_some(words.slice(at, _WORDS_AT_ONCE)) for at in range(0, len(words), _WORDS_AT_ONCE)]
        if not parts:
            return np.empty((len(self._columns), 0)), np.empty(0, np.int64)
        return np.concatenate([sums for sums, _ in parts], axis=1), np.concatenate([num for _, num in parts])

    def _sum_some(self, words: pa.Array) -> tuple[Floats, Ints]:
        model = self.model
        rows, word_of = [], []
        for hashes, word, is_whole in _ngrams(words, model.max_chars, model.min_chars):
            # NumPy computes unsigned quotients faster than unsigned remainders.
            num_buckets = np.uint32(len(model.row_of_bucket))
            buckets = hashes - hashes // num_buckets * num_buckets
            at = np.flatnonzero(self._is_kept.take(buckets) & is_whole)
            rows.append(model.row_of_bucket[buckets[at]])
            word_of.append(word[at])
        known = pc.fill_null(pc.index_in(words, value_set=self._words), -1).to_numpy()
        at = np.flatnonzero(known >= 0)
        row, word = np.concatenate([*rows, known[at]]), np.concatenate([*word_of, at])
        sums = [np.bincount(word, weights=column[row], minlength=len(words)) for column in self._columns]
        return np.array(sums), np.bincount(word, minlength=len(words))

    def _likeliest(self, hidden: Floats, off: Floats) -> tuple[list[str], Floats, Floats]:
        """Returns the best label of each text, its probability, and a bound on the probability's error.

        ``hidden`` contains the vectors of the texts, of shape (dimensions, texts). ``off`` contains the largest
        possible differences between these numbers and those that fastText computes.

        A label is reached by steps from the root of the model's tree. A node has a score and two steps, left and right.
        The error of the score is at most the sum, over the dimensions, of ``off`` times the absolute value of the
        node's vector. The error of the logarithm of a step's probability is the error of the score times the
        probability of the other step.
        """
        # Use einsum and not a matrix product: BLAS would start threads, which then wait in a busy loop.
        right = 1 / (1 + np.exp(-np.einsum("dt,dn->nt", hidden, self._output)))
        node_off = np.einsum("dt,dn->nt", off, np.abs(self._output))
        steps = np.log(np.concatenate([1 - right, right]) + _LOG_OFFSET)
        steps_off = np.concatenate([right * node_off, (1 - right) * node_off])
        for by_step in (steps, steps_off):
            for before, step in self._levels:
                by_step[step] += by_step[before]
        scores, scores_off = steps[self._last_steps].T, steps_off[self._last_steps].T
        every = np.arange(len(scores))
        best = scores.argmax(axis=1)
        probabilities = np.exp(scores[every, best])
        with np.errstate(over="ignore"):
            errors = probabilities * np.expm1(scores_off[every, best]) + _LEAST_ERROR
            most = np.exp(scores + scores_off)
        most[every, best] = 0
        # fastText skips a branch with a lower score, although the offset in its logarithms could still raise it.
        ahead = _LEAST_ERROR + _LOG_OFFSET * max(map(len, self._paths))
        errors[(probabilities - errors <= most.max(axis=1) + ahead) | (probabilities <= errors)] = np.inf
        return [self.model.labels[number] for number in best], probabilities, errors


def _split(texts: pa.Array) -> tuple[pa.Array, Ints]:
    """Returns the words of all texts in one array. Also returns offsets: text ``i`` has the words from ``offsets[i]``
    to ``offsets[i + 1]``.

    In fastText, words end at the six kinds of space in ASCII and at NUL (src/dictionary.cc ``readWord``).
    """
    words, first = [], [np.zeros(1, np.int64)]
    for at in range(0, len(texts), _TEXTS_AT_ONCE):
        some = pc.replace_substring(texts.slice(at, _TEXTS_AT_ONCE), _SEPARATORS_BEYOND_ASCII_SPACE, " ")
        split = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(some))
        words.append(split.flatten())
        offsets = split.offsets.to_numpy()
        first.append(offsets[1:].astype(np.int64) - offsets[0] + first[-1][-1])
    return pa.concat_arrays(words), np.concatenate(first)


def _ngrams(
    words: pa.Array, max_chars: int, min_chars: int
) -> Iterator[tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]]:
    """Yields three arrays for each length of n-grams: the hashes of the n-grams, the indices of the words in which they
    begin, and flags. A flag is True if the n-gram ends in the same word.

    Each array has one entry per character of the words, for the n-gram that begins at this character.

    fastText (src/dictionary.cc ``computeSubwords``) takes n-grams of characters from ``<word>``. It hashes their UTF-8
    bytes as signed numbers (FNV-1a). Here the hash of an n-gram is computed from the hash of the n-gram without the
    last character.
    """
    # In fastText an empty word (from a text without words) has no n-grams. Here `<>` would be one.
    marked = pc.if_else(pc.equal(words, ""), "", pc.binary_join_element_wise("<", words, ">", ""))
    offsets = np.frombuffer(marked.buffers()[1], np.int32)[marked.offset : marked.offset + len(marked) + 1]
    num_bytes = int(offsets[-1] - offsets[0])
    text = np.frombuffer(marked.buffers()[2] or b"", np.int8, num_bytes, int(offsets[0]))
    offsets = offsets - offsets[0]
    codes = text.astype(np.uint32)
    if num_bytes and text.min() < 0:
        starts = np.flatnonzero((text.view(np.uint8) & 0xC0) != 0x80)
        widths = np.diff(starts, append=num_bytes)
        wider = [at for width in (1, 2, 3) if len(at := np.flatnonzero(widths > width))]
        firsts, num_chars = codes[starts], np.diff(np.searchsorted(starts, offsets))
    else:
        starts, wider, firsts, num_chars = np.empty(0, np.int64), [], codes, np.diff(offsets)
    word = np.repeat(np.arange(len(words), dtype=np.int32), num_chars)
    hashes = np.full(len(firsts) + 1, _FNV_BASIS)
    for length in range(1, max_chars + 1):
        hashes = (hashes[:-1] ^ firsts[length - 1 :]) * _FNV_PRIME
        for further, chars in enumerate(wider, 1):
            chars = chars[np.searchsorted(chars, length - 1) :]
            at = chars - (length - 1)
            hashes[at] = (hashes[at] ^ codes[starts[chars] + further]) * _FNV_PRIME
        if length >= min_chars:
            yield hashes, word[: len(hashes)], word[: len(hashes)] == word[length - 1 :]


def _levels(paths: Sequence[Sequence[int]]) -> list[tuple[Ints, Ints]]:
    """Returns the steps of a tree, grouped by their distance from the root. The first steps (at the root) are left out.
    Each group has two arrays of equal length: the preceding steps, and the steps.

    >>> [(before.tolist(), step.tolist()) for before, step in _levels([[3], [1, 2], [1, 0]])]
    [([1, 1], [2, 0])]
    """
    levels = []
    for depth in range(1, max(map(len, paths))):
        pairs = dict.fromkeys((path[depth - 1], path[depth]) for path in paths if len(path) > depth)
        levels.append((np.array([before for before, _ in pairs]), np.array([step for _, step in pairs])))
    return levels


def _paths(counts: Sequence[int]) -> list[list[int]]:
    """Returns the steps from the root of the model's tree to each label.

    A step to the left is written as the number of the node. A step to the right is written as this number plus the
    number of nodes. The tree is a Huffman tree. ``counts`` must be in descending order (fastText, src/loss.cc
    ``buildTree``).

    >>> _paths([5, 2, 1])
    [[3], [1, 2], [1, 0]]
    """
    num_labels = len(counts)
    count = [*counts, *[10**15] * (num_labels - 1)]
    children: dict[int, tuple[int, int]] = {}
    leaf, inner = num_labels - 1, num_labels
    for parent in range(num_labels, 2 * num_labels - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and count[leaf] < count[inner]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(inner)
                inner += 1
        children[parent] = pair[0], pair[1]
        count[parent] = count[pair[0]] + count[pair[1]]
    paths: list[list[int]] = [[] for _ in counts]
    todo: list[tuple[int, list[int]]] = [(2 * num_labels - 2, [])]
    while todo:
        node, steps = todo.pop()
        if node < num_labels:
            paths[node] = steps
            continue
        left, right = children[node]
        number = node - num_labels
        todo += [(left, [*steps, number]), (right, [*steps, number + num_labels - 1])]
    return paths
