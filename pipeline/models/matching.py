"""Checks that the pieces and the n-grams of a language belong together, and that a language model's labels are
languages.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import struct

from filters.language.detect import LANGUAGES
from pipeline.models.fasttext_file import labels_of
from tokenizer.model_file import NORMAL, USER_DEFINED, parse

_MIN_SHARED = 0.8
"""The least share of names that both files must have. Ours: of models that were trained together, over 99 % of the
pieces are among the words of the n-grams. Of two vocabularies of one language, little more than half are equal."""
_MIN_NAMES = 1000
"""Smaller vocabularies are not compared (our choice). CCNet's have 65,536 pieces."""
_MIN_LANGUAGES = 0.5
"""The least share of a language model's labels that must be codes of languages (our choice)."""
_KENLM_HAS_WORDS_AT, _KENLM_NUM_WORDS_AT = 0x64, 0x6C
_WITH_SCRIPT = re.compile(r"[a-z]{2,3}_[A-Z][a-z]{3}(?:_\w+)?")
_ISO_639_3 = re.compile(r"[a-z]{3}")


def check_pieces(pieces_path: str, lm_path: str) -> None:
    """Checks that n-grams were trained on the pieces of a SentencePiece model. With other pieces, nearly all words of a
    text would be unknown to the n-grams, and every perplexity would be wrong.

    Args:
        pieces_path: the SentencePiece model.
        lm_path: the KenLM model, binary or ARPA. A binary model without its words, and small ones, are not
            checked.

    Raises:
        ValueError: the two have too few names in common.
    """
    stats = [os.stat(path) for path in (pieces_path, lm_path)]
    shared = _share(pieces_path, lm_path, *((one.st_size, one.st_mtime_ns) for one in stats))
    if shared is not None and shared < _MIN_SHARED:
        raise ValueError(
            f"{lm_path} was not trained on the pieces of {pieces_path}: only {100 * shared:.0f} % of their names are "
            "equal; take both files from the same place, or train both with `python -m pipeline.models train-lm`"
        )


@functools.lru_cache(maxsize=256)
def _share(pieces_path: str, lm_path: str, *stamps: tuple[int, int]) -> float | None:
    words = _words_of_arpa(lm_path) if lm_path.endswith(".arpa") else _words_of_binary(lm_path)
    with open(pieces_path, "rb") as file:
        pieces = {one.text for one in parse(file.read()).pieces if one.kind in (NORMAL, USER_DEFINED)}
    if min(len(words), len(pieces)) < _MIN_NAMES:
        return None
    return len(words & pieces) / min(len(words), len(pieces))


def _words_of_binary(path: str) -> set[str]:
    """Returns the words at the end of a binary KenLM model; an empty set if it was made without them."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.rfind(b"<unk>\0") if data[_KENLM_HAS_WORDS_AT] else -1
        (num_words,) = struct.unpack_from("<Q", data, _KENLM_NUM_WORDS_AT)
        words = data[at:].split(b"\0")[:num_words] if at >= 0 else []
    return {word.decode("utf-8", "replace") for word in words} - _SPECIAL


def _words_of_arpa(path: str) -> set[str]:
    """Returns the words of an ARPA file, which are its first section."""
    found: set[str] = set()
    with open(path, encoding="utf-8", errors="replace") as file:
        is_inside = False
        for line in file:
            if line.startswith("\\"):
                if is_inside:
                    break
                is_inside = line.startswith("\\1-grams:")
            elif is_inside and len(parts := line.rstrip("\n").split("\t")) > 1:
                found.add(parts[1])
    return found - _SPECIAL


_SPECIAL = {"<unk>", "<s>", "</s>"}


def check_is_language_model(path: str) -> None:
    """Checks that the labels of a fastText model are languages. A classifier of something else would give documents
    labels that are no languages.

    Raises:
        ValueError: most labels are not codes of languages.
    """
    labels = labels_of(path)
    codes = [one for one in labels if one in LANGUAGES or _WITH_SCRIPT.fullmatch(one) or _ISO_639_3.fullmatch(one)]
    if len(codes) < _MIN_LANGUAGES * max(1, len(labels)):
        raise ValueError(
            f"{path}: its labels are no languages ({', '.join(labels[:5])}); a model of another kind has this name"
        )
