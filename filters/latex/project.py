r"""Assembles a project's files into one source: replaces each command that reads a file by the file, and adds the
paper's own styles.

Files are given as text, by their path in the archive. This module opens no files. Files may be missing, or may read
each other in a circle. The size of the result is limited, because a paper can read the same file many times.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from filters.latex.groups import normalise_source, words, would_glue
from filters.latex.input_commands import InputCommand, InputCommands, opaque_end
from filters.latex.main_file import CLASS, find_begin, first_match
from filters.latex.public_styles import is_public_input, is_public_style
from filters.latex.verbatim import Verbatim, declared_verbatim

MAX_ASSEMBLED_CHARS = 20_000_000
"""Longest paper with all files that it reads, in characters. Our choice: arXiv accepts 50 MB with figures; the longest
theses have 5 MB of text."""
MAX_READ_CHARS = 2 * MAX_ASSEMBLED_CHARS
"""Maximum number of characters in all files that are read (our choice). Text that is not added to the paper counts too,
such as the preamble of a second complete document. A file that is read several times is counted each time."""
MAX_INPUTS = 2_000
"""Maximum number of file-reading commands in one paper. Our choice: if every file reads two files, the number doubles
at every level.
"""
MAX_INPUT_DEPTH = 60
"""Maximum depth of files that read other files. Our choice: TeX Live itself allows 15."""
_MAX_SEAM_CHARS = 200
_END_DOCUMENT = re.compile(r"\\end\s?\{document\}")
_CONDITIONAL = re.compile(r"\\(if[A-Za-z@]*|fi|@ifundefined|IfFileExists|[^A-Za-z])(?![A-Za-z@])|[{}]", re.DOTALL)
_NO_CONDITIONALS = words(
    "iff ifthenelse ifbool iftoggle ifdef ifundef ifcsdef ifcsundef ifstrequal ifstrempty ifblank ifdefempty ifdefvoid"
    " ifnumcomp ifnumequal ifdimcomp ifinlist ifboolexpr"
)
r"""Commands whose names begin with ``if``, but which are no conditionals of TeX: they take their branches as groups,
and have no ``\fi``."""


@dataclass(slots=True)
class Assembled:
    """Holds the source of a paper and some counts. The source is assembled from the paper's files."""

    text: str
    main: str
    reached: set[str] = field(default_factory=set)
    num_missing: int = 0
    """Number of commands whose file is not in the project."""
    num_loops: int = 0
    """Number of commands whose file was not added, because the file reads itself or a limit was reached."""


def assemble(files: Mapping[str, str], main: str) -> Assembled:
    r"""Replaces every ``\input``, ``\include``, ``\subfile`` and ``\import`` by its file, to any depth.

    Comments stay unchanged, including an ``\input`` in them. A class or style file of the paper's authors is added
    after the command that loads it, between ``\makeatletter`` and ``\makeatother``, with the files that it loads. A
    command whose file is missing stays unchanged.

    >>> assemble({"a.tex": "x \\input{b} y % \\input{b}", "b.tex": "B\n"}, "a.tex").text
    'x B\n y % \\input{b}'
    """
    assembler = _Assembler(files, main)
    assembler.add(main)
    assembler.result.text = "".join(assembler.out)
    return assembler.result


class _Assembler:
    def __init__(self, files: Mapping[str, str], main: str) -> None:
        self.files = files
        self.main = main
        self.by_lower = {path.lower(): path for path in sorted(files, reverse=True)}
        self.root = posixpath.dirname(main)
        self.result = Assembled("", main)
        self.out: list[str] = []
        self.num_chars = 0
        self.num_read_chars = 0
        self.num_inputs = 0
        self.open_files: list[str] = []
        self.has_class = False
        """True after the first file with a document class was read. This file is the main file, or a file that the main
        file reads. A later file with a document class is a complete document, of which only the body is read."""
        self.is_at_letter = False
        self.verbatim = Verbatim()
        self.commands = InputCommands(posixpath.splitext(posixpath.basename(main))[0])

    def _emit(self, text: str) -> None:
        if not text:
            return
        if self.out and text[0].isalpha():
            tail = "".join(piece[-_MAX_SEAM_CHARS:] for piece in self.out[-4:])
            if would_glue(tail, text):
                self.out.append(" ")
        self.out.append(text)
        self.num_chars += len(text)

    def add(self, path: str, *, folder: str | None = None, is_style: bool = False) -> None:
        """Adds a file, and all files that it reads, to the output. If ``folder`` is given, the names in the file are
        relative to it.
        """
        is_again = path in self.result.reached
        is_main = not self.open_files
        self.open_files.append(path)
        self.result.reached.add(path)
        text = normalise_source(self.files[path])
        self.num_read_chars += len(text)
        if not is_style:
            text = self._document_part(text)
        self.commands.learn(text, is_main=is_main)
        if "environment" in text or "Short" in text:
            declared_verbatim(text, known=self.verbatim)
        pos = depth = counted = 0
        unclosed: set[str] = set()
        match = self.commands.pattern.search(text)
        while match is not None:
            # a comment or an escaped character has no group
            is_opaque = match.lastgroup is None
            end = match.end() if is_opaque else opaque_end(text, match, self.verbatim, unclosed)
            if end < 0:
                if match["endinput"]:
                    # Inside a test, \endinput stops the second reading of a file, so the first reading ignores it.
                    depth, counted = self._test_depth(text, counted, match.start(), depth), match.start()
                    if depth == 0 or is_again:
                        text = text[: match.start()] + "\n"
                        break
                    self._emit(text[pos : match.start()])
                    pos = end = match.end()
                else:
                    end = match.end()
                    piece_end = self._follow(text, pos, match, folder)
                    if piece_end >= 0:
                        pos = end = piece_end
            match = self.commands.pattern.search(text, end)
        self._emit(text[pos:])
        if not is_main and not text.endswith("\n"):
            self._emit("\n")  # ends a comment on the file's last line
        self.open_files.pop()

    def _document_part(self, text: str) -> str:
        r"""Returns a file's text. If the file is a complete document that another document reads, returns only its
        body."""
        found = first_match(CLASS, text) if "\\document" in text else None
        if found is None:
            return text
        if not self.has_class:
            self.has_class = True
            return text
        begin = find_begin(text)
        if begin is None:
            return text
        end = first_match(_END_DOCUMENT, text, begin.end())
        return text[begin.end() : end.start() if end else len(text)]

    @staticmethod
    def _test_depth(text: str, start: int, end: int, depth: int) -> int:
        """Returns the number of tests and groups that are open at ``end``. ``depth`` is the number that are open at
        ``start``."""
        for token in _CONDITIONAL.finditer(text, start, end):
            name = token[1]
            if token[0] == "{" or (name and name.startswith("if") and name not in _NO_CONDITIONALS):
                depth += 1
            elif token[0] == "}" or name == "fi":
                depth = max(0, depth - 1)
        return depth

    def _follow(self, text: str, pos: int, match: re.Match[str], folder: str | None) -> int:
        """Processes one command that may read a file. Returns the position where the text continues, or -1 if the
        command stays unchanged.
        """
        if match["at"]:
            self.is_at_letter = match["at"] == "makeatletter"
            return -1
        if match["style"] or match["class"]:
            return self._add_styles(text, pos, match)
        command = self.commands.read(text, match)
        if command is None:
            return -1
        base = posixpath.join(folder if command.is_relative and folder is not None else self.root, command.folder)
        path = self._find(command.name, base, posixpath.dirname(self.open_files[-1]))
        if path is None:
            return self._without_file(text, pos, match, command)
        if is_public_input(path, self.files[path]):
            self.result.reached.add(path)
            return -1
        if not self._may_add(path):
            return -1
        self._emit(text[pos : match.start()] + command.before)
        self.add(path, folder=base if command.folder else folder)
        self._emit(command.after)
        return command.end

    def _without_file(self, text: str, pos: int, match: re.Match[str], command: InputCommand) -> int:
        if command.otherwise is None:
            self.result.num_missing += 1
            return -1
        self._emit(text[pos : match.start()] + command.otherwise)
        return command.end

    def _may_add(self, path: str) -> bool:
        """Counts one file that is to be read. Returns False if the file is already open or a limit is reached."""
        self.num_inputs += 1
        num_chars = len(self.files[path])
        if (
            path in self.open_files
            or len(self.open_files) >= MAX_INPUT_DEPTH
            or self.num_inputs > MAX_INPUTS
            or self.num_chars + num_chars > MAX_ASSEMBLED_CHARS
            or self.num_read_chars + num_chars > MAX_READ_CHARS
        ):
            self.result.num_loops += 1
            return False
        return True

    def _find(self, name: str, *folders: str) -> str | None:
        searched = dict.fromkeys((*folders, self.root, "", *self.commands.search_folders(self.root)))
        for folder in searched:
            joined = posixpath.normpath(posixpath.join(folder, name))
            for candidate in (f"{joined}.tex", joined, f"{joined}.ltx"):
                if candidate in self.files:
                    return candidate
            lower = self.by_lower.get(f"{joined}.tex".lower()) or self.by_lower.get(joined.lower())
            if lower is not None:
                return lower
        return None

    def _add_styles(self, text: str, pos: int, match: re.Match[str]) -> int:
        """Adds the paper's own classes and styles after the command that loads them.

        Returns the end of the command, or -1 if it loads none.
        """
        names = [(name, ".sty") for name in (match["styles"] or "").split(",")]
        if match["class"]:
            is_old = match["class"] == "documentstyle"
            options = (match["options"] or "").split(",") if is_old else []
            names = [(match["classname"], ".cls"), *((option, ".sty") for option in options)]
            if is_old:
                names.insert(1, (match["classname"], ".sty"))
        found = [path for name, ending in names if (path := self._find_style(name.strip(), ending)) is not None]
        if not found:
            return -1
        self._emit(text[pos : match.end()] + "\n")
        for path in found:
            was_letter, self.is_at_letter = self.is_at_letter, True
            self._emit("" if was_letter else "\\makeatletter\n")
            self.add(path, is_style=True)
            self._emit("\\makeatletter\n" if was_letter and not self.is_at_letter else "")
            self._emit("" if was_letter else "\\makeatother\n")
            self.is_at_letter = was_letter
        return match.end()

    def _find_style(self, name: str, ending: str) -> str | None:
        """Returns the path of a style if it is the paper's own and not yet added, else None."""
        if not name or "\\" in name:
            return None
        for folder in dict.fromkeys((self.root, posixpath.dirname(self.open_files[-1]), "")):
            joined = posixpath.normpath(posixpath.join(folder, name + ending))
            path = joined if joined in self.files else self.by_lower.get(joined.lower())
            if path is not None:
                break
        else:
            return None
        if path in self.result.reached:
            return None
        if is_public_style(path, self.files[path]):
            self.result.reached.add(path)
            return None
        return path if self._may_add(path) else None
