"""Reads arXiv's ``00README``. This file names the main TeX file of a paper, and files to ignore.

arXiv documents two formats (info.arxiv.org/help/00README.html). The first has a list ``sources``, whose items have a
``filename`` and a ``usage``. This module reads it as JSON, YAML or TOML. The second is the classic ``00README.XXX``,
with lines ``NAME toplevelfile`` and ``NAME ignore``. The format is recognised by the content of the file, not by the
ending of its name.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from dataclasses import dataclass
from typing import Any

import yaml

MAX_README_BYTES = 100_000
"""At most this many bytes of a 00README are read. Our choice: an entry takes under 100 bytes."""
MAX_ENTRIES = 2_000
"""The largest number of entries of a 00README. Our choice: if a submission has more files than this, most of them are
figures, not sources."""
_LINE = re.compile(r"^[ \t]*(?:\"([^\"\n]+)\"|(\S+))[ \t]+(toplevelfile|ignore)\b", re.MULTILINE | re.IGNORECASE)
_IS_YAML = re.compile(r"^\s*-?\s*(?:filename|usage|sources)\s*:", re.MULTILINE)
_IS_TOML = re.compile(r"^\s*\[\[\s*sources\s*\]\]|^\s*sources\s*=", re.MULTILINE)
_MAX_NESTING = 50
"""The largest nesting depth of brackets. The limit is needed because a parser calls itself once per level. Our choice:
the documented format has three levels.
"""


@dataclass(frozen=True, slots=True)
class Readme:
    """Holds the content of a 00README: the main file, and the files to ignore."""

    main: str = ""
    ignored: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.main or self.ignored)


def read_readme(text: str) -> Readme:
    r"""Reads a 00README in any of its formats. Returns an empty :class:`Readme` for text in no known format.

    >>> read_readme("a.tex toplevelfile\nb.tex ignore\n")
    Readme(main='a.tex', ignored=frozenset({'b.tex'}))
    >>> read_readme('{"sources": [{"usage": "toplevel", "filename": "a.tex"}]}').main
    'a.tex'
    """
    text = text.removeprefix("\ufeff")
    entries = _structured(text)
    if entries is None:
        found = [(match[1] or match[2], match[3].lower()) for match in _LINE.finditer(text)]
        entries = [(name, "toplevel" if usage == "toplevelfile" else usage) for name, usage in found]
    plain = [(posixpath.normpath(name), usage) for name, usage in entries[:MAX_ENTRIES]]
    main = next((name for name, usage in plain if usage == "toplevel"), "")
    return Readme(main, frozenset(name for name, usage in plain if usage == "ignore"))


def _structured(text: str) -> list[tuple[str, str]] | None:
    """Returns one pair (file name, usage) per entry of a 00README in JSON, YAML or TOML. Returns None if the text is in
    none of these formats.
    """
    if _nesting(text) > _MAX_NESTING:
        return None
    try:
        if text.lstrip().startswith(("{", "[")) and not _IS_TOML.search(text):
            data: Any = json.loads(text)
        elif _IS_TOML.search(text):
            data = tomllib.loads(text)
        elif _IS_YAML.search(text) and "&" not in text and "*" not in text:
            data = yaml.load(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
        else:
            return None
    except (ValueError, yaml.YAMLError):
        return None
    sources = data.get("sources") if isinstance(data, dict) else data
    if isinstance(sources, dict):
        sources = [
            {"filename": name, **(value if isinstance(value, dict) else {"usage": value})}
            for name, value in sources.items()
        ]
    if not isinstance(sources, list):
        return None
    pairs = [(source.get("filename"), source.get("usage")) for source in sources if isinstance(source, dict)]
    return [(name, usage.lower()) for name, usage in pairs if isinstance(name, str) and isinstance(usage, str)]


def _nesting(text: str) -> int:
    depth = deepest = 0
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    if deepest <= _MAX_NESTING:  # YAML also nests by indentation
        indents = {len(line) - len(line.lstrip(" -")) for line in text.split("\n")[: 2 * MAX_ENTRIES]}
        deepest = max(deepest, len(indents))
    return deepest
