"""Suggests the setting ``renames`` for a language identification model that has other labels for languages than the
settings use, for example ``EN`` or ``eng_Latn`` for ``en``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

import yaml

from filters.language.codes import LANGUAGES, code_of
from filters.language.detect import DetectLanguage, Language

_REGION = re.compile(r"[-_]")
_SHOWN_LABELS = 3


def renaming(source: str, step: Language | DetectLanguage, name: str, labels: Sequence[str]) -> str:
    """Returns the end of the message that says that a model lacks the label ``name``. The text names the model's own
    label for this language, and the line of a configuration that renames this label to ``name``.

    Returns "" if the model has no label for the language, or if ``name`` is itself a label that the settings rename.

    A label is for the same language if it is the same code in capital letters, or the code with three letters. A script
    or a region may follow, as in ``eng_Latn`` and ``EN-US``.

    Args:
        name: the label that the model lacks: a language of the settings, or a key of ``renames``.
        labels: all labels of the model.

    >>> renaming("books", Language(), "en", ["DE", "EN"])
    '; its label is EN: rename it with sources: {books: {language: {renames: {EN: en}}}}'
    """
    alike = [label for label in labels if name.lower() in (_code(label), code_of(label))]
    if name in step.renames or not alike:
        return ""
    its = (
        f"its label is {alike[0]}: rename it" if len(alike) == 1 else f"its labels are {', '.join(alike)}: rename them"
    )
    return f"; {its} with {_line(source, step, dict.fromkeys(alike, name))}"


def renaming_all(source: str, step: Language | DetectLanguage, labels: Sequence[str]) -> str:
    """Returns the line of a configuration that renames a model's labels to codes of languages. The line has only the
    first three such labels.

    Most labels must be codes that are written differently, such as ``EN`` or ``en_US`` for ``en``. Otherwise this
    function returns "".

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
