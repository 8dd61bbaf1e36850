"""A fastText model's own parts, read out of its file for :mod:`filters.language.word_sums`.

The Python package gives all but the table of n-grams that were kept, which only the file has (src/dictionary.cc
``Dictionary::load``).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from filters.language.word_sums import PrunedModel

_MAGIC, _VERSION = 793712314, 12
"""fastText, src/fasttext.cc; version 11 reads some settings otherwise, and is of 2017."""
_HEAD = struct.Struct("<ii12id")
_SIZES = struct.Struct("<iiiqq")
_ENTRY = struct.Struct("<qb")
_CLASSIFIER, _HIERARCHICAL_SOFTMAX = 3, 1
_WORD, _LABEL = 0, 1


def read_pruned_model(path: str, model: Any) -> PrunedModel | None:
    """Returns the parts of a loaded model; None where it is of another kind, which then answers for itself.

    Of that kind are classifiers with hierarchical softmax, without n-grams of words, quantized with a cut-off, as
    fastText publishes lid.176.ftz. A model that is not quantized is fast as it is: 12 MB/s where lid.176.ftz does 6.

    Raises:
        ValueError, struct.error: the file ends too early, though fastText has loaded it.
    """
    if not model.is_quantized():
        return None
    content = Path(path).read_bytes()
    magic, version, *settings, _ = _HEAD.unpack_from(content)
    _, _, _, _, _, word_ngrams, loss, kind, num_buckets, min_chars, max_chars, _ = settings
    size, num_words, num_labels, _, num_kept = _SIZES.unpack_from(content, _HEAD.size)
    is_of_this_kind = (
        (magic, version, word_ngrams, loss, kind) == (_MAGIC, _VERSION, 1, _HIERARCHICAL_SOFTMAX, _CLASSIFIER)
        and (num_kept > 0 and num_labels > 1)
        and (2 <= min_chars <= max_chars)
        and not model.f.getArgs().qout
    )
    if not is_of_this_kind:
        return None
    names, counts, kinds = [], [], []
    at = _HEAD.size + _SIZES.size
    for _ in range(size):
        end = content.index(b"\0", at)
        count, entry = _ENTRY.unpack_from(content, end + 1)
        names.append(content[at:end])
        counts.append(count)
        kinds.append(entry)
        at = end + 1 + _ENTRY.size
    kept = np.frombuffer(content, "<i4", 2 * num_kept, at).reshape(-1, 2)
    words, labels = _decoded(names[:num_words]), _decoded(names[num_words:])
    prefix = model.f.getArgs().label
    # As fastText writes them. What it would make of others is its own affair.
    is_usual = (
        (size == num_words + num_labels and kinds == [_WORD] * num_words + [_LABEL] * num_labels)
        and (words is not None and all(words) and len(set(words)) == num_words)
        and (labels is not None and all(label.startswith(prefix) for label in labels))
        and (kept.min() >= 0 and kept[:, 0].max() < num_buckets and kept[:, 1].max() < num_kept)
    )
    if not is_usual:
        return None
    assert words is not None
    assert labels is not None
    row_of_bucket = np.full(num_buckets, -1, np.int32)
    row_of_bucket[kept[:, 0]] = num_words + kept[:, 1]
    return PrunedModel(
        words=tuple(words),
        labels=tuple(labels),
        label_counts=tuple(counts[num_words:]),
        label_prefix=prefix,
        min_chars=min_chars,
        max_chars=max_chars,
        row_of_bucket=row_of_bucket,
        rows=np.array([model.get_input_vector(row) for row in range(num_words + num_kept)], np.float32),
        # One row a node of the tree but the last, which no label is reached by.
        output=np.array(model.f.getOutputMatrix())[: num_labels - 1],
    )


def _decoded(names: list[bytes]) -> list[str] | None:
    try:
        return [name.decode("utf-8") for name in names]
    except UnicodeDecodeError:
        return None
