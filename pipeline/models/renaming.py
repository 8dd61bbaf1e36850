"""Suggests the setting ``renames`` for a language identification model whose labels are other names of languages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

import yaml

from filters.language.detect import LANGUAGES, DetectLanguage, Language

_THREE_LETTERS = {
    "bg": "bul", "ca": "cat", "cs": "ces", "da": "dan", "de": "deu", "en": "eng", "es": "spa", "fr": "fra", "hr": "hrv",
    "hu": "hun", "it": "ita", "nl": "nld", "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sl": "slv", "sr": "srp",
    "sv": "swe", "uk": "ukr",
}  # fmt: skip
"""The codes in ISO 639-3 of LLaMA's twenty languages of Wikipedia. Models such as GlotLID have these."""
_REGION = re.compile(r"[-_]")
_SHOWN_LABELS = 3


def renaming(source: str, step: Language | DetectLanguage, name: str, labels: Sequence[str]) -> str:
    """Returns the line of a configuration that gives a model's label the name that a step's settings use. It is the end
    of the message about the missing label. Returns "" if no label is another name of the language.

    A label is another name if it is the same code in capital letters, or the code with three letters. A script or a
    region may follow, as in ``eng_Latn`` and ``EN-US``.

    Args:
        name: the language that is missing among the model's labels.
        labels: all labels of the model.

    >>> renaming("books", Language(), "en", ["DE", "EN"])
    '; its label is EN: rename it with sources: {books: {language: {renames: {EN: en}}}}'
    """
    codes = (name.lower(), _THREE_LETTERS.get(name.lower()))
    alike = [label for label in labels if _code(label) in codes]
    if name in step.renames or not alike:
        return ""
    its = (
        f"its label is {alike[0]}: rename it" if len(alike) == 1 else f"its labels are {', '.join(alike)}: rename them"
    )
    return f"; {its} with {_line(source, step, dict.fromkeys(alike, name))}"


def renaming_all(source: str, step: Language | DetectLanguage, labels: Sequence[str]) -> str:
    """Returns the same line for a model most of whose labels are codes of languages in capital letters. The line has
    the first three labels. Returns "" if they are something else.

    >>> renaming_all("books", DetectLanguage(), ["EN", "DE"])
    'sources: {books: {detect_language: {renames: {EN: en, DE: de}}}}'
    >>> renaming_all("books", DetectLanguage(), ["wiki", "cc"])
    ''
    """
    codes = {label: _code(label) for label in labels if _code(label) in LANGUAGES and label not in LANGUAGES}
    if 2 * len(codes) <= len(labels):
        return ""
    return _line(source, step, dict(itertools.islice(codes.items(), _SHOWN_LABELS)))


def _code(label: str) -> str:
    return _REGION.split(label)[0].lower()


def _line(source: str, step: Language | DetectLanguage, more: Mapping[str, str]) -> str:
    renames = {**step.renames, **more}
    said = yaml.safe_dump(
        renames, default_flow_style=True, width=1_000_000, sort_keys=False, allow_unicode=True
    ).strip()
    return f"sources: {{{source}: {{{step.NAME}: {{renames: {said}}}}}}}"
