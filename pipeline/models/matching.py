"""Checks two things: that the SentencePiece model and the KenLM model of a language were trained together, and that the
labels of a language identification model are languages.

A SentencePiece model splits texts into pieces. A KenLM model has n-grams of these pieces, so its words are the pieces.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import struct

from filters.language.codes import LANGUAGES
from filters.language.detect import DetectLanguage, Language
from pipeline.models.fasttext_file import labels_of
from pipeline.models.renaming import renaming_all
from tokenizer.model_file import NORMAL, USER_DEFINED, parse

_MIN_SHARED = 0.8
"""The smallest allowed share of the smaller vocabulary that is also in the larger one (our choice). One vocabulary has
the pieces, the other the words of the n-grams. If two models were trained together, over 99 % of the pieces are also
words. If two vocabularies of the same language were trained separately, they have little more than half in common."""
_MIN_NAMES = 1000
"""Vocabularies with fewer pieces or words are not compared (our choice). CCNet's vocabularies have 65,536 pieces."""
_MIN_LANGUAGES = 0.5
"""At least this share of the labels of a language identification model must be codes of languages (our choice)."""
_KENLM_HAS_WORDS_AT, _KENLM_NUM_WORDS_AT = 0x64, 0x6C
_WITH_SCRIPT = re.compile(r"[a-z]{2,3}_[A-Z][a-z]{3}(?:_\w+)?")
_ISO_639_3 = re.compile(r"[a-z]{3}")


def check_pieces(pieces_path: str, lm_path: str) -> None:
    """Checks that the n-grams of a KenLM model were trained on the pieces of a SentencePiece model. With other pieces,
    the n-grams would not know most words of a text, and every perplexity would be wrong.

    Nothing is checked if the KenLM model is a binary file without its words, or if one of the two models has fewer than
    1,000 pieces or words.

    Args:
        pieces_path: the path of the SentencePiece model.
        lm_path: the path of the KenLM model, binary or ARPA.

    Raises:
        ValueError: too few pieces are also words of the n-grams.
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
    """Returns the words of a binary KenLM model, which are at the end of the file. Returns an empty set if the model
    was made without them."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.rfind(b"<unk>\0") if data[_KENLM_HAS_WORDS_AT] else -1
        (num_words,) = struct.unpack_from("<Q", data, _KENLM_NUM_WORDS_AT)
        words = data[at:].split(b"\0")[:num_words] if at >= 0 else []
    return {word.decode("utf-8", "replace") for word in words} - _SPECIAL


def _words_of_arpa(path: str) -> set[str]:
    """Returns the words of an ARPA file. They are in its first section, the 1-grams."""
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


def check_is_language_model(path: str, source: str, step: Language | DetectLanguage | None) -> None:
    """Checks that the labels of a fastText model are languages. A classifier of another kind would give documents
    labels that are not languages.

    Args:
        source: the source that uses the model.
        step: the source's step that can rename labels, for the message; None if it has no such step.

    Raises:
        ValueError: most labels are not codes of languages.
    """
    labels = labels_of(path)
    codes = [one for one in labels if one in LANGUAGES or _WITH_SCRIPT.fullmatch(one) or _ISO_639_3.fullmatch(one)]
    if len(codes) < _MIN_LANGUAGES * max(1, len(labels)):
        if step and (line := renaming_all(source, step, labels)):
            raise ValueError(
                f"{path}: its labels ({', '.join(labels[:5])}) are not the names that other sources use for languages; "
                f"rename them all, as in {line}"
            )
        raise ValueError(
            f"{path}: its labels are no languages ({', '.join(labels[:5])}); a model of another kind has this name"
        )
