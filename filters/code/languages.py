"""Determines the language of a file from its path. Also recognises vendored, generated, minified, binary and data
files.

If several languages share the ending of the file's name, the file's text decides between them. The tables are in
``filters/data/code/languages.yaml``, which is read once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_DATA = Path(__file__).parents[1] / "data" / "code"
_HEAD_CHARS = 20_000
"""The number of characters that are searched at the start of a file. They are searched only if several languages share
the ending of the file's name."""
_MAX_SHEBANG_CHARS = 200
_SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+)*)?(?:\S*/)?([A-Za-z][\w.+-]*)")
_VERSION = re.compile(r"[\d.]+$")

_PROSE = frozenset({"Markdown", "reStructuredText", "HTML", "TeX", "Org", "Texinfo"})
"""Languages of prose. The file ``LICENSE.md`` is a licence, because Markdown is one of these languages. The file
``license.js`` is code."""

PATH_REASONS = (
    "vendored_tree",
    "vendored_file",
    "generated_tree",
    "generated_file",
    "minified_file",
    "licence_file",
    "binary_file",
    "data_file",
    "unknown_file_type",
)
"""Reasons to drop a file because of its path, in the order in which they are tested."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Holds the tables of ``languages.yaml``. In this form, a language can be looked up by a file's ending, name or
    shebang.
    """

    by_ending: Mapping[str, str]
    by_name: Mapping[str, str]
    by_shebang: Mapping[str, str]
    comments: Mapping[str, str]
    """Maps each language to the name of its comment syntax in ``comments.yaml``."""
    ambiguous: Mapping[str, tuple[tuple[str | None, re.Pattern[str]], ...]]
    data: frozenset[str]
    binary: frozenset[str]
    licence_names: frozenset[str]
    vendored_trees: frozenset[str]
    generated_trees: frozenset[str]
    vendored_files: re.Pattern[str]
    generated_files: re.Pattern[str]
    generated_markers: re.Pattern[str]
    minified_files: re.Pattern[str]


@cache
def tables() -> Tables:
    """Returns the tables of ``languages.yaml``. The file is read once."""
    raw: dict[str, Any] = yaml.safe_load((_DATA / "languages.yaml").read_text(encoding="utf-8"))
    languages: dict[str, dict[str, Any]] = raw["languages"]

    def inverted(field: str) -> dict[str, str]:
        return {key: language for language, entry in languages.items() for key in entry.get(field, ())}

    return Tables(
        by_ending=inverted("endings"),
        by_name=inverted("names"),
        by_shebang=inverted("shebang"),
        comments={language: entry["comments"] for language, entry in languages.items()} | raw["unlisted"],
        ambiguous={
            ending: tuple((language, re.compile(pattern, re.MULTILINE)) for language, pattern in choices)
            for ending, choices in raw["ambiguous"].items()
        },
        data=frozenset(raw["data"]),
        binary=frozenset(raw["binary"]),
        licence_names=frozenset(raw["licence_names"]),
        vendored_trees=frozenset(raw["vendored_trees"]),
        generated_trees=frozenset(raw["generated_trees"]),
        vendored_files=re.compile(raw["vendored_files"], re.IGNORECASE),
        generated_files=re.compile(raw["generated_files"], re.IGNORECASE),
        generated_markers=re.compile(raw["generated_markers"], re.IGNORECASE | re.DOTALL),
        minified_files=re.compile(raw["minified_files"], re.IGNORECASE),
    )


def language_of(path: str, text: str = "") -> str | None:
    """Returns the language of a file, or None if it is unknown. The path decides. The text is used in two cases:
    several languages share the ending of the file's name, or the name has no known ending and the text begins with a
    shebang (``#!``).

    >>> language_of("src/a.C"), language_of("a.R"), language_of("docs/README.MD"), language_of("x.tar.gz")
    ('C++', 'R', 'Markdown', None)
    >>> language_of("bin/run", "#!/usr/bin/env python3\\n"), language_of("a.m", "@interface A : B\\n")
    ('Python', 'Objective-C')
    """
    table = tables()
    name = path.rpartition("/")[2]
    language = table.by_name.get(name)
    if language is not None:
        return language
    ending = _known_ending(name, table)
    if ending is None:
        return _language_of_script(name, text, table)
    choices = table.ambiguous.get(ending)
    if choices is not None:
        head = text[:_HEAD_CHARS]
        return next(language for language, pattern in choices if pattern.search(head))
    return table.by_ending[ending]


def path_fault(path: str, language: str | None) -> tuple[str, str] | None:
    """Returns why a file is dropped because of its path, or None if it is kept. The result has two elements: the
    reason, and the part of the path that shows the reason.

    The reason is one of :data:`PATH_REASONS`.

    >>> path_fault("web/node_modules/a/index.js", "JavaScript")
    ('vendored_tree', 'node_modules')
    >>> path_fault("js/app.min.js", "JavaScript"), path_fault("logo.PNG", None), path_fault("a/main.go", "Go")
    (('minified_file', 'app.min.js'), ('binary_file', 'png'), None)
    """
    table = tables()
    *trees, name = path.split("/")
    for tree in trees:
        if tree.lower() in table.vendored_trees:
            return "vendored_tree", tree
        if tree.lower() in table.generated_trees:
            return "generated_tree", tree
    for reason, pattern in (
        ("minified_file", table.minified_files),
        ("vendored_file", table.vendored_files),
        ("generated_file", table.generated_files),
    ):
        if pattern.search(name) and not (reason == "generated_file" and _is_written_configure(name)):
            return reason, name
    return _file_type_fault(name, language, table)


def _file_type_fault(name: str, language: str | None, table: Tables) -> tuple[str, str] | None:
    lower = name.lower()
    stem, dot, ending = lower.rpartition(".")
    is_prose = language is None or language in _PROSE
    if lower in table.licence_names or (dot and is_prose and stem in table.licence_names):
        return "licence_file", name
    if language is not None:
        return None
    if dot and ending in table.binary:
        return "binary_file", ending
    if dot and ending in table.data:
        return "data_file", ending
    return "unknown_file_type", ending if dot else name


def _is_written_configure(name: str) -> bool:
    """Returns True for ``configure.ac`` and similar names. Such a file is written by people. A program generates the
    file ``configure`` from it."""
    return name.lower().startswith("configure") and name.lower() != "configure"


def _known_ending(name: str, table: Tables) -> str | None:
    """Returns the longest ending of a file name that is in the tables, or None. An ending is looked up twice: first
    unchanged, then in lower case.
    """
    at = name.find(".")
    while at >= 0:
        ending = name[at + 1 :]
        for form in (ending, ending.lower()):
            if form in table.by_ending or form in table.ambiguous:
                return form
        at = name.find(".", at + 1)
    return None


def _language_of_script(name: str, text: str, table: Tables) -> str | None:
    if "." in name.lstrip(".") or not text.startswith("#!"):
        return None
    match = _SHEBANG.match(text[:_MAX_SHEBANG_CHARS])
    if match is None:
        return None
    interpreter = match.group(1)
    return table.by_shebang.get(interpreter) or table.by_shebang.get(_VERSION.sub("", interpreter))
