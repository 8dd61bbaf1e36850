r"""Finds the main file of a project, which is the file that TeX would be started on."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from filters.latex.groups import in_code, words

CLASS = re.compile(r"\\document(?:class|style)\s*(?:\[[^\]]{0,1000}\])?\s*\{\s*([\w-]*)")
_BEGIN_LATEX = re.compile(r"\\begin\s?\{document\}")
_BEGIN_AMSTEX = re.compile(r"\\document(?![A-Za-z@])")
_PLAIN_INPUT = re.compile(
    r"\\(?:(?:@?input|include|subfile|subfileinclude)\s*\{\s*\"?([^{}\"\n]{1,300}?)\"?\s*\}|(?:@@)?input\s+([^\s{}\\%]+)"
    r"|(?:import|subimport|inputfrom|includefrom|subinputfrom|subincludefrom)\*?\s*\{([^{}\n]{0,300})\}\s*\{([^{}\n]{1,300})\})"
)
_OPTION = re.compile(
    r"\\(?:def|let|(?:new|provide)command|newif|[A-Za-z]+true|PassOptionsTo(?:Class|Package))(?![A-Za-z@])"
)
_TEX_SIGNS = re.compile(
    r"\\(?:begin|section|end|def|input|title|magnification|beginsection|bye|vskip|par|topmatter|documentstyle|newsec)"
    r"(?![A-Za-z])"
)
_SIDE_NAMES = re.compile(
    r"supp|rebuttal|coverletter|(?:\A|[_.-])(?:append|cover|respon|reply|letter\d*\Z|template|sample|example|poster|slides"
    r"|talk|diff|si\Z|old|backup|fig|table|macro|abstract|notes?\Z)",
    re.IGNORECASE,
)
_MAIN_NAMES = re.compile(r"(?:ms|main|paper|article|manuscript|arxiv|root|master|thesis)\w*\Z", re.IGNORECASE)
_SIDE_CLASSES = words("standalone subfiles letter beamer minimal sciposter a0poster tikzposter exam scrlttr2")
_STYLE_ENDINGS = (".sty", ".cls", ".bbl", ".def", ".cfg", ".clo", ".fd")
_TEX_ENDINGS = (".tex", ".ltx", ".latex")
_BACKUP = re.compile(
    r"~\Z|\A[.#]|#\Z|\.(?:bak|old|orig|sav|save|saved|backup|bkp|swp|tmp|rej|prev|autosave)\d*\Z"
    r"|\.(?:bak|old|orig|sav|save|backup|bkp)\d*\.tex\Z|\.tex[.~_-]\w{1,12}[~#]?\Z|\bconflicted\b"
    r"|\A(?:copy of|backup of) "
    r"|[ _-](?:copy|kopie|backup|bak)(?:[ _-]?\(?\d+\)?)?\.tex\Z|\.(?:sync-conflict|_?recovered)",
    re.IGNORECASE,
)
"""Matches names that editors and file managers give to backup copies."""


def first_match(pattern: re.Pattern[str], text: str, pos: int = 0) -> re.Match[str] | None:
    """Returns the first match of ``pattern`` outside of comments."""
    return next(in_code(pattern, text, pos), None)


def find_begin(text: str) -> re.Match[str] | None:
    r"""Returns the match where a document begins (``\begin{document}``, or AMSTeX's ``\document``), or None."""
    found = first_match(_BEGIN_LATEX, text)
    if found is None and "\\document" in text:
        found = first_match(_BEGIN_AMSTEX, text)
    return found


def find_main(
    files: Mapping[str, str],
    *,
    stems_with_bbl: frozenset[str] = frozenset(),
    declared: str = "",
    ignored: frozenset[str] = frozenset(),
) -> str | None:
    r"""Returns the path of the file that TeX would be started on; None if no file looks like TeX.

    A project can contain a file 00README with instructions for arXiv. ``declared`` is the main file that it names, and
    ``ignored`` are the files that it excludes. ``stems_with_bbl`` are the paths of the ``.bbl`` files (lists of
    references) without their ending. They help, because arXiv asks authors for a ``.bbl`` named like the main file.

    >>> find_main({"sec.tex": "\\section{A}", "ms.tex": "\\documentclass{x}\\begin{document}", "x.sty": ""})
    'ms.tex'
    """
    if declared in files:
        return declared
    candidates = {path: text for path, text in files.items() if not path.lower().endswith(_STYLE_ENDINGS)}
    if len(candidates) > len(ignored):
        candidates = {path: text for path, text in candidates.items() if path not in ignored}
    halves = {path: _halves(path, text) for path, text in candidates.items()}
    by_stem = {_stem(path): found for path, found in halves.items()}
    # A file counts as included only if the file that reads it is a document or half of one. Others can be wrappers.
    included = frozenset().union(*(found.inputs for found in halves.values() if found.has_class or found.has_begin))
    num_chars = {_stem(path): len(text) for path, text in candidates.items()}
    ranked = []
    for path, text in candidates.items():
        whole_chars = len(text) + sum(num_chars.get(stem, 0) for stem in halves[path].inputs)
        kind = _kind(path, text, halves[path].with_inputs(by_stem), included)
        ranked.append((_rank(path, text, kind, whole_chars, has_bbl=_stem(path) in stems_with_bbl), path))
    best = max(ranked, default=None)
    if best is None or not best[0][0]:
        return None
    wrappers = [
        (_stem(path) in stems_with_bbl, _SIDE_NAMES.search(_stem(posixpath.basename(path))) is None, path)
        for path, text in candidates.items()
        if _is_wrapper(path, text, halves, best[1])
    ]
    return max(wrappers)[2] if wrappers else best[1]


_Rank = tuple[bool, bool, int, bool, bool, bool, bool, bool, int, int, str]


@dataclass(frozen=True, slots=True)
class _Halves:
    """Describes which of the two halves of a document a file contains, and which files it reads. The first half has the
    document class. The second half has the beginning of the text."""

    document_class: str | None
    has_begin: bool
    inputs: frozenset[str]

    @property
    def has_class(self) -> bool:
        return self.document_class is not None

    def with_inputs(self, by_stem: Mapping[str, _Halves]) -> _Halves:
        """Returns which halves of a document are in this file or in the files that it reads.

        If this file contains only one half, a file that it reads can contain the other half. For example, some papers
        have their document class in a separate preamble file. If this file contains both halves or none, the files that
        it reads are ignored.
        """
        if self.has_class == self.has_begin:
            return self
        read = [by_stem[stem] for stem in self.inputs if stem in by_stem]
        found = [other.document_class for other in read if other.has_class]
        return _Halves(
            self.document_class if self.has_class else next(iter(found), None),
            self.has_begin or any(other.has_begin for other in read),
            self.inputs,
        )


def _is_wrapper(path: str, text: str, halves: Mapping[str, _Halves], main: str) -> bool:
    r"""Returns True if a file only sets options and then reads the document, such as
    ``\def\version{arxiv}\input{main}``.

    A file that reads the document without setting an option is no wrapper.
    """
    found = halves[path]
    if (
        found.has_class
        or found.has_begin
        or _stem(main) not in found.inputs
        or _BACKUP.search(posixpath.basename(path))
    ):
        return False
    return path.lower().endswith(_TEX_ENDINGS) and first_match(_OPTION, text) is not None


def _halves(path: str, text: str) -> _Halves:
    found = first_match(CLASS, text) if "\\document" in text else None
    return _Halves(None if found is None else found[1], find_begin(text) is not None, _input_stems(path, text))


def _stem(path: str) -> str:
    return posixpath.splitext(path)[0]


def _kind(path: str, text: str, halves: _Halves, included: frozenset[str]) -> int:
    """Returns the kind of a file: 4 for a document; 3 for half a document; 2 for an included file, slides or a letter;
    1 for all other TeX; 0 for a file that is not TeX.
    """
    if not halves.has_class and not halves.has_begin:
        return 1 if _TEX_SIGNS.search(text) else 0
    is_whole = halves.has_class and halves.has_begin
    if posixpath.normpath(_stem(path)) in included or (is_whole and halves.document_class in _SIDE_CLASSES):
        return 2
    return 4 if is_whole else 3


def _rank(path: str, text: str, kind: int, whole_chars: int, *, has_bbl: bool) -> _Rank:
    """Returns a sort key for a file; the file with the largest key is the main file. ``whole_chars`` is the total
    length in characters of the file and of all files that it reads.
    """
    base = posixpath.basename(path)
    name = _stem(base)
    is_side = _SIDE_NAMES.search(name) is not None
    return (
        kind > 0,
        _BACKUP.search(base) is None,
        kind,
        base.lower().endswith(_TEX_ENDINGS),
        not is_side,
        not text.lstrip().startswith("%auto-ignore"),
        has_bbl,
        bool(_MAIN_NAMES.match(name)) and not is_side,
        -path.count("/"),
        whole_chars,
        # a tie-breaker, so that the order of files in the archive does not matter
        path,
    )


def _input_stems(path: str, text: str) -> frozenset[str]:
    stems = set()
    for match in in_code(_PLAIN_INPUT, text):
        name = match[1] or match[2] or posixpath.join(match[3] or "", match[4] or "")
        stem = name.strip().removesuffix(".tex")
        stems.add(posixpath.normpath(stem))
        stems.add(posixpath.normpath(posixpath.join(posixpath.dirname(path), stem)))
    return frozenset(stems) - {_stem(path)}
