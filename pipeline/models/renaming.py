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
    """Suggests how to rename a model's own label for a language to ``name``, the label that the settings use.

    The result is the end of an error message. The message says that the model lacks the label ``name``. Its end names
    the model's own label, and the line of a configuration that renames this label. For example, the model's own label
    for ``en`` can be ``EN``, ``EN-US`` or ``eng_Latn``.

    Returns "" if the model has no label for the language, or if ``name`` is a key of the setting ``renames``.

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
    """Suggests how to rename the labels of a model to codes of languages. Returns a line for the user's configuration
    as an example, with at most three labels.

    If at most half of the labels are codes in another spelling (such as ``EN`` or ``en_US`` for ``en``), returns "".

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
