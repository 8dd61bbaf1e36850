"""Reads the tables of a fastText model from its file. :mod:`filters.language.word_sums` runs the model from these
tables.

fastText can make a model smaller by removing most of its n-grams. The file then has a table of the remaining n-grams.
fastText's Python package gives no access to this table, so it is read from the file (src/dictionary.cc
``Dictionary::load``).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from filters.language.detect import LABEL
from filters.language.word_sums import PrunedModel

_MAGIC, _VERSION = 793712314, 12
"""The magic number and the version at the beginning of a model's file (fastText, src/fasttext.cc). Some settings have
different meanings in version 11 (2017) and in version 12.
"""
_HEAD = struct.Struct("<ii12id")
_SIZES = struct.Struct("<iiiqq")
_ENTRY = struct.Struct("<qb")
_CLASSIFIER, _HIERARCHICAL_SOFTMAX = 3, 1
_WORD, _LABEL = 0, 1
_READ_BYTES = 1 << 20


def read_pruned_model(path: str, model: Any) -> PrunedModel | None:
    """Returns the words, labels and tables of a model. Returns None if the model is not of the supported kind.

    The supported kind is a quantized classifier with hierarchical softmax. It uses no word n-grams, and some of its
    character n-grams were removed. The published lid.176.ftz is of this kind. fastText runs it at only 6 MB/s, so this
    package has its own faster code.

    Models of other kinds are run by fastText. It runs a model that is not quantized at 12 MB/s, which is fast enough.

    Raises:
        ValueError, struct.error: the file ends too early, although fastText has loaded it.
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
    # fastText writes models in this form. A model that differs is left to fastText.
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
        # One row per inner node of the tree.
        output=np.array(model.f.getOutputMatrix())[: num_labels - 1],
    )


def labels_of(path: str) -> tuple[str, ...]:
    """Returns the labels of a fastText model, without the prefix ``__label__``.

    The model is not loaded: only the dictionary at the beginning of its file is read.

    Raises:
        ValueError: the file is not a fastText model, or it ends inside the dictionary.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD.size + _SIZES.size)
        if len(head) < _HEAD.size + _SIZES.size or _HEAD.unpack_from(head)[0] != _MAGIC:
            raise ValueError(f"{path} is not a fastText model")
        size, _, num_labels, _, _ = _SIZES.unpack_from(head, _HEAD.size)
        labels: list[str] = []
        held, at = b"", 0
        for number in range(size):
            while (end := held.find(b"\0", at)) < 0 or len(held) < end + 1 + _ENTRY.size:
                more = file.read(_READ_BYTES)
                if not more or len(held) - at > _READ_BYTES:
                    raise ValueError(f"{path} ends in its dictionary, at entry {number} of {size}")
                held, at = held[at:] + more, 0
            if number >= size - num_labels:
                labels.append(held[at:end].decode("utf-8", "replace").removeprefix(LABEL))
            at = end + 1 + _ENTRY.size
    return tuple(labels)


def _decoded(names: list[bytes]) -> list[str] | None:
    try:
        return [name.decode("utf-8") for name in names]
    except UnicodeDecodeError:
        return None
