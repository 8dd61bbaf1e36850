r"""A project's files to one source: the main file found, its inputs followed in place, shipped styles' macros in front.

Files are text by their path in the archive. Nothing is opened here. Inputs that are missing or go round in a circle
are survived; what one project can grow to is bounded, since a file may be read in many times.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from filters.latex.commands import style_definitions
from filters.latex.lexer import VERBATIM_ENVIRONMENTS, inline_end, normalise_source, strip_comments, words

MAX_ASSEMBLED_CHARS = 20_000_000
"""A paper with its inputs; ours: arXiv took at most 50 MB a submission with its figures, the longest theses have 5."""
MAX_INPUTS = 2_000
"""Inputs followed in one paper; ours: a file that reads two that read two more would not end."""

PUBLIC_STYLES = words(
    "natbib epsf epsfig psfig graphicx graphics amsmath amssymb amsfonts amsthm amscd hyperref url cite subfigure"
    " subfig algorithm algorithmic algorithm2e algpseudocode algorithmicx times mathptmx titlesec geometry"
    " fancyhdr caption float color xcolor multirow booktabs enumitem listings tikz pgf pgfplots xspace etoolbox"
    " xparse cleveref microtype overcite feynmf feynmp axodraw slashed youngtab diagrams xy lineno setspace"
    " aas_macros aas_journals wrapfig rotating bm bbm stfloats lscape longtable dcolumn comment verbatim fancyvrb"
    " minted soul ulem siunitx physics braket mathtools empheq pstricks prettyref authblk apacite chicago harvard"
    " mciteplus appendix tocloft titling xr nameref varioref makecell ijcai kdd jheppub jcappub cite mcite revsymb"
    " dsfont stmaryrd mathrsfs latexsym xkeyval tcolorbox todonotes changes"
)
"""Packages that authors ship though they did not write them: their commands are LaTeX's own vocabulary."""
_VENUE_STYLE = re.compile(
    r"(?:acl|naacl|emnlp|eacl|aacl|coling|icml|nips|neurips|iclr|cvpr|iccv|eccv|wacv|bmvc|aaai|ijcai|uai|aistats|colt|jmlr"
    r"|interspeech|spconf|icassp|ieee|acm|sig|llncs|svjour|elsart|revtex|aastex|emulateapj|mn2e|mnras|pos|siam|ws-|iop"
    r"|jhep|lrec|usenix|vldb|icme|corl|rss|tacl|conll|ismir|arxiv|preprint)[\w-]*\Z",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"%[^\n]*|\\(?:begin\s?\{([A-Za-z]+\*?)\}|(verb|lstinline)(?![A-Za-z@])"
    r"|(input|include|subfile|subfileinclude|InputIfFileExists|endinput)(?![A-Za-z@])"
    r"|(import|subimport|inputfrom|subinputfrom|includefrom|subincludefrom)\*?\s*(?=\{)"
    r"|(usepackage|RequirePackage)\s*(?:\[[^\[\]]*\])?\s*\{([^{}]*)\}|[^A-Za-z])",
    re.DOTALL,
)
_BRACED_NAME = re.compile(r"\s*\{\s*\"?([^{}\"\n]{1,300}?)\"?\s*\}")
_BARE_NAME = re.compile(r"\s*([^\s{}\\%\"]{1,300})")
_PLAIN_INPUT = re.compile(r"\\(?:(?:input|include|subfile)\s*\{([^{}\n]{1,300})\}|input\s+([^\s{}\\%]+))")
_PATH_MACRO = re.compile(r"\\(?:newcommand\*?\s*\{?|def)\s*\\([A-Za-z]+)\}?\s*\{([\w./-]*)\}")
_CLASS = re.compile(r"\\document(?:class|style)\s*(?:\[[^\]]{0,1000}\])?\s*\{\s*([\w-]*)")
_BEGIN = re.compile(r"\\begin\s?\{document\}")
_END = re.compile(r"\\end\s?\{document\}")
_PERCENT = re.compile(r"(?<!\\)(?:\\\\)*%")
_TEX_SIGNS = re.compile(r"\\(?:begin|section|end|def|input|title|magnification|beginsection|bye|vskip|par)(?![A-Za-z])")
_SIDE_NAMES = re.compile(
    r"supp|rebuttal|coverletter|(?:\A|[_.-])(?:append|cover|respon|reply|letter\d*\Z|template|sample|example|poster|slides"
    r"|talk|diff|si\Z|old|backup|fig|table|macro|abstract|notes?\Z)",
    re.IGNORECASE,
)
_MAIN_NAMES = re.compile(r"(?:ms|main|paper|article|manuscript|arxiv|root|master|thesis)\w*\Z", re.IGNORECASE)
_SIDE_CLASSES = words("standalone subfiles letter beamer minimal sciposter a0poster tikzposter exam scrlttr2")


@dataclass(slots=True)
class Assembled:
    """One source made of many files."""

    text: str
    main: str
    reached: set[str] = field(default_factory=set)
    num_missing: int = 0
    """Inputs that name a file the project does not have."""
    num_loops: int = 0
    """Inputs of a file from inside itself, and inputs beyond the bounds."""


def _in_code(pattern: re.Pattern[str], text: str, pos: int = 0) -> Iterator[re.Match[str]]:
    r"""The matches that do not stand in a comment; ``pattern`` begins with a backslash, ``pos`` in code. Linear."""
    is_comment = False
    for match in pattern.finditer(text, pos):
        start = match.start()
        newline = text.rfind("\n", pos, start)
        if newline >= 0:
            is_comment, pos = False, newline + 1
        is_comment = is_comment or _PERCENT.search(text, pos, start) is not None
        pos = start
        if not is_comment:
            yield match


def _first(pattern: re.Pattern[str], text: str, pos: int = 0) -> re.Match[str] | None:
    return next(_in_code(pattern, text, pos), None)


def find_main(
    files: Mapping[str, str], *, stems_with_bbl: frozenset[str] = frozenset(), declared: str = ""
) -> str | None:
    r"""Returns the path of the file that TeX would be started on; None if no file looks like TeX.

    ``declared``: what the project's own 00README says. ``stems_with_bbl``: paths, without their ending, beside which a
    ``.bbl`` lies: arXiv asks for one beside the main file and no other.

    >>> find_main({"sec.tex": "\\section{A}", "ms.tex": "\\documentclass{x}\\begin{document}", "x.sty": ""})
    'ms.tex'
    """
    if declared in files:
        return declared
    candidates = {path: text for path, text in files.items() if not path.endswith((".sty", ".cls", ".bbl"))}
    inputs = {path: _input_stems(path, text) for path, text in candidates.items()}
    documents = {path: _first(_CLASS, text) for path, text in candidates.items()}
    # a document is another's part where that other is a document too; a line that reads the document in is a wrapper
    included = frozenset().union(*(inputs[path] for path, found in documents.items() if found is not None))
    num_chars = {_stem(path): len(text) for path, text in candidates.items()}
    ranked = []
    for path, text in candidates.items():
        whole_chars = len(text) + sum(num_chars.get(stem, 0) for stem in inputs[path])
        kind = _kind(path, text, documents[path], included)
        ranked.append((_rank(path, text, kind, whole_chars, has_bbl=_stem(path) in stems_with_bbl), path))
    best = max(ranked, default=None)
    return best[1] if best is not None and best[0] > _NOT_TEX else None


_Rank = tuple[int, bool, bool, bool, bool, int, int, str]
_NOT_TEX: _Rank = (0, True, True, True, True, 0, 1 << 60, "")


def _stem(path: str) -> str:
    return posixpath.splitext(path)[0]


def _kind(path: str, text: str, documentclass: re.Match[str] | None, included: frozenset[str]) -> int:
    """4 is a document; 3 has half of what makes one, 2 is part of another or a kind that no paper is; 0 is no TeX."""
    has_begin = _first(_BEGIN, text) is not None
    if documentclass is None and not has_begin:
        return 1 if _TEX_SIGNS.search(text) else 0
    is_part = posixpath.normpath(_stem(path)) in included
    if is_part or (documentclass is not None and has_begin and documentclass[1] in _SIDE_CLASSES):
        return 2
    return 4 if documentclass is not None and has_begin else 3


def _rank(path: str, text: str, kind: int, whole_chars: int, *, has_bbl: bool) -> _Rank:
    """``whole_chars``: how long it is with what it reads in."""
    name = posixpath.basename(_stem(path))
    is_side = _SIDE_NAMES.search(name) is not None
    return (
        kind,
        not is_side,
        not text.lstrip().startswith("%auto-ignore"),
        has_bbl,
        bool(_MAIN_NAMES.match(name)) and not is_side,
        -path.count("/"),
        whole_chars,
        # equal in all: the same file for every order of the archive
        path,
    )


def _input_stems(path: str, text: str) -> frozenset[str]:
    stems = set()
    for match in _in_code(_PLAIN_INPUT, text):
        stem = (match[1] or match[2]).strip().removesuffix(".tex")
        stems.add(posixpath.normpath(stem))
        stems.add(posixpath.normpath(posixpath.join(posixpath.dirname(path), stem)))
    return frozenset(stems) - {_stem(path)}


def assemble(files: Mapping[str, str], main: str) -> Assembled:
    r"""Puts every input where it is read in, as ``\input``, ``\include``, ``\subfile``, ``\import`` ask.

    Comments stay, and an ``\input`` in a comment is none. Of a style that the project ships, and wrote itself, the
    definitions come in its place. What is not found is left as it stands.

    >>> assemble({"a.tex": "x \\input{b} y % \\input{b}", "b.tex": "B\n"}, "a.tex").text
    'x B\n y % \\input{b}'
    """
    assembler = _Assembler(files, main)
    assembler.add(main, is_main=True)
    assembler.result.text = "".join(assembler.out)
    return assembler.result


class _Assembler:
    def __init__(self, files: Mapping[str, str], main: str) -> None:
        self.files = files
        self.by_lower = {path.lower(): path for path in sorted(files, reverse=True)}
        self.root = posixpath.dirname(main)
        self.result = Assembled("", main)
        self.out: list[str] = []
        self.num_chars = 0
        self.num_inputs = 0
        self.open_files: list[str] = []
        self.has_class = False
        """Whether the paper's own preamble has come; a wrapper may read it in."""
        self.path_macros = dict(_PATH_MACRO.findall(files[main][:200_000]))

    def _emit(self, text: str) -> None:
        self.out.append(text)
        self.num_chars += len(text)

    def add(self, path: str, *, is_main: bool = False, folder: str | None = None) -> None:
        """Writes a file out with its inputs followed; ``folder``: what its own inputs' names begin from."""
        self.open_files.append(path)
        self.result.reached.add(path)
        text = normalise_source(self.files[path])
        if self.has_class:
            text = _only_body(text)
        elif _first(_CLASS, text) is not None:
            self.has_class = True
        pos = 0
        unclosed: set[str] = set()
        match = _COMMAND.search(text)
        while match is not None:
            end = self._opaque_end(text, match, unclosed)
            if end < 0:
                if match[3] == "endinput":
                    text = text[: match.start()] + "\n"
                    break
                end = match.end()
                piece_end = self._follow(text, pos, match, folder)
                if piece_end >= 0:
                    pos = end = piece_end
            match = _COMMAND.search(text, end)
        self._emit(text[pos:])
        if not is_main and not text.endswith("\n"):
            self._emit("\n")  # the file's end is a line's end: a comment there must not go on
        self.open_files.pop()

    @staticmethod
    def _opaque_end(text: str, match: re.Match[str], unclosed: set[str]) -> int:
        """Where a stretch ends in which no command is one; -1 if none begins here."""
        environment, inline = match.group(1, 2)
        if environment is not None:
            if (environment not in VERBATIM_ENVIRONMENTS and environment != "comment") or environment in unclosed:
                return match.end()
            end = text.find(f"\\end{{{environment}}}", match.end())
            if end < 0:
                unclosed.add(environment)
                return match.end()
            return end
        if inline is not None:
            return max(inline_end(text, inline, match.end()), match.end())
        return match.end() if match[0].startswith("%") or len(match[0]) == 2 else -1

    def _follow(self, text: str, pos: int, match: re.Match[str], folder: str | None) -> int:
        if match[5] is not None:
            return self._add_styles(text, pos, match)
        named = self._named(text, match)
        if named is None:
            return -1
        name, end, is_relative, prefix = named
        base = posixpath.join(folder if is_relative and folder is not None else self.root, prefix)
        path = self._find(name, base, posixpath.dirname(self.open_files[-1]))
        if path is None:
            self.result.num_missing += 1
            return -1
        self.num_inputs += 1
        is_too_much = self.num_inputs > MAX_INPUTS or self.num_chars + len(self.files[path]) > MAX_ASSEMBLED_CHARS
        if path in self.open_files or is_too_much:
            self.result.num_loops += 1
            return -1
        self._emit(text[pos : match.start()])
        self.add(path, folder=base if prefix else folder)
        return end

    def _named(self, text: str, match: re.Match[str]) -> tuple[str, int, bool, str] | None:
        """Returns (name, end, whether relative to the folder we are in, prefix)."""
        braced = _BRACED_NAME.match(text, match.end())
        if match[4] is not None:
            second = None if braced is None else _BRACED_NAME.match(text, braced.end())
            if braced is None or second is None:
                return None
            return self._plain(second[1]), second.end(), match[4].startswith("sub"), self._plain(braced[1])
        found = braced or (_BARE_NAME.match(text, match.end()) if match[3] == "input" else None)
        return None if found is None else (self._plain(found[1]), found.end(), True, "")

    def _plain(self, name: str) -> str:
        if "\\" not in name:
            return name
        return re.sub(r"\\([A-Za-z]+)\s*", lambda m: self.path_macros.get(m[1], m[0]), name)

    def _find(self, name: str, *folders: str) -> str | None:
        for folder in dict.fromkeys((*folders, self.root, "")):
            joined = posixpath.normpath(posixpath.join(folder, name))
            for candidate in (f"{joined}.tex", joined, f"{joined}.ltx"):
                if candidate in self.files:
                    return candidate
            lower = self.by_lower.get(f"{joined}.tex".lower()) or self.by_lower.get(joined.lower())
            if lower is not None:
                return lower
        return None

    def _add_styles(self, text: str, pos: int, match: re.Match[str]) -> int:
        definitions = []
        for name in match[6].split(","):
            name = name.strip()
            path = posixpath.normpath(posixpath.join(self.root, f"{name}.sty"))
            if path not in self.files or path in self.result.reached:
                continue
            self.result.reached.add(path)
            stem = posixpath.basename(name)
            if stem.lower() not in PUBLIC_STYLES and not _VENUE_STYLE.match(stem):
                source = strip_comments(normalise_source(self.files[path]))
                definitions.append(source.unseal(style_definitions(source.text)))
        if not any(definitions):
            return -1
        self._emit(text[pos : match.end()] + "\n")
        for definition in definitions:
            self._emit(definition)
        return match.end()


def _only_body(text: str) -> str:
    r"""A file that is a document of its own (``\subfile``): what stands between its begin and its end."""
    if "\\documentclass" not in text and "\\documentstyle" not in text:
        return text
    begin = _first(_BEGIN, text)
    if begin is None or _first(_CLASS, text) is None:
        return text
    end = _first(_END, text, begin.end())
    return text[begin.end() : end.start() if end else len(text)]
