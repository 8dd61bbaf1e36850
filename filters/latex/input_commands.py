r"""Finds the commands that read another file: all forms of ``\input`` and ``\import``, and a paper's own commands.

An example of a paper's own command is ``\newcommand{\sect}[1]{\input{sections/#1}}``.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from filters.latex.groups import group_end, words
from filters.latex.verbatim import Verbatim, inline_end

_COMMAND = (
    r"%[^\n]*|\\(?:begin\s?\{(?P<environment>[A-Za-z]+\*?)\}"
    r"|(?P<inline>verb|Verb|spverb|lstinline|mintinline|mint)(?![A-Za-z@])"
    r"|(?P<short>(?:Define|Make|MakeSpecial|lstMake|Undefine|Delete|lstDelete)Short)"
    r"|(?P<endinput>endinput)(?![A-Za-z@])"
    r"|(?P<at>makeatletter|makeatother)(?![A-Za-z@])"
    r"|(?P<from>(?:sub)?(?:import|inputfrom|includefrom))\*?\s*(?=\{)"
    r"|(?P<style>usepackage|RequirePackage(?:WithOptions)?)\s*(?:\[[^\[\]]*\])?\s*\{(?P<styles>[^{}]*)\}"
    r"|(?P<class>documentclass|documentstyle|LoadClass(?:WithOptions)?)\s*(?:\[(?P<options>[^\[\]]*)\])?\s*"
    r"\{(?P<classname>[^{}]*)\}"
    r"|(?P<name>NAMES)(?![A-Za-z@])|[^A-Za-z])"
)
"""Matches a comment, the beginning of verbatim text, or a command that may read a file."""
_INPUTS = words(
    "input include subfile subfileinclude @input @@input @iinput InputIfFileExists IfFileExists includestandalone"
)
_BARE = frozenset({"input", "@@input", "@input"})
r"""Commands whose file name can be written without braces."""
_BRACED_NAME = re.compile(r"\s*(?:\[[^\[\]\n]{0,200}\]\s*)?\{\s*\"?([^{}\"\n]{1,300}?)\"?\s*\}")
_QUOTED_NAME = re.compile(r"\s*=?\s*\"([^\"\n{}]{1,300})\"")
_BARE_NAME = re.compile(r"\s*([^\s{}\\%\"$&#~^]{1,300})(?:\s*\\relax(?![A-Za-z@]))?")
_BARE_MACRO = re.compile(r"\s*\\([A-Za-z]+)\s*([^\s{}\\%\"$&#~^]{0,300})")
_PATH_MACRO = re.compile(
    r"\\(?:(?:re)?newcommand\*?\s*\{?\s*|providecommand\*?\s*\{?\s*|[gex]?def\s*)\\([A-Za-z]+)\s*\}?\s*\{([\w./ -]*)\}"
)
_OWN_COMMAND = re.compile(
    r"\\(?:(?:re)?newcommand\*?\s*\{?\s*\\(?P<new>[A-Za-z]+)\s*\}?\s*(?:\[(?P<count>[1-9])\]\s*)?|def\s*\\(?P<def>[A-Za-z]+)\s*"
    r"(?P<parameters>(?:#[1-9])*)\s*)(?=\{)"
)
_INNER_INPUT = re.compile(r"\\(?:@?input|include|subfile)\s*\{([^{}\n]{1,200})\}")
_ALIAS = re.compile(r"\\let\s*\\([A-Za-z]+)\s*=?\s*\\(input|include|@input|@@input|subfile)(?![A-Za-z@])")
_INPUT_PATH = re.compile(r"\\def\s*\\input@path\s*\{((?:\s*\{[^{}]{0,200}\}){1,20}\s*)\}")
_MAX_BODY_CHARS = 600
"""Longest text of a paper's own command that reads a file. Our choice: such commands consist of a heading and an
input."""
_MAX_LEARNED_CHARS = 200_000
"""Number of characters at a file's beginning that are searched for definitions of file-reading commands. Our choice:
such commands are defined in the preamble."""
MAX_OWN_COMMANDS = 100
MAX_FOLDERS = 20


@dataclass(frozen=True, slots=True)
class InputCommand:
    """Describes a command that reads a file, and the text that must be put before and after the file's text."""

    name: str
    end: int
    is_relative: bool = True
    """True if the file name is relative to the folder from which ``\\import`` read the containing file. False if it is
    relative to the folder of the main file."""
    folder: str = ""
    before: str = ""
    after: str = ""
    otherwise: str | None = None
    """The text that replaces the command if the file does not exist. If None, the command stays unchanged."""


@dataclass(frozen=True, slots=True)
class _OwnCommand:
    num_arguments: int
    before: str
    name: str
    after: str


class InputCommands:
    """Holds the commands that read files, including a paper's own commands."""

    def __init__(self, job_name: str) -> None:
        self._paths = {"jobname": job_name}
        self._own: dict[str, _OwnCommand] = {}
        self._aliases: dict[str, str] = {}
        self._folders: list[str] = []
        self.pattern = self._compiled()

    def _compiled(self) -> re.Pattern[str]:
        names = sorted({*_INPUTS, *self._own, *self._aliases}, key=len, reverse=True)
        return re.compile(_COMMAND.replace("NAMES", "|".join(map(re.escape, names))), re.DOTALL)

    def learn(self, text: str, *, is_main: bool) -> None:
        r"""Stores the search paths and the file-reading commands that a file defines in its preamble."""
        begin = text.find("\\begin{document}")
        text = text[: min(_MAX_LEARNED_CHARS, begin if begin >= 0 else _MAX_LEARNED_CHARS)]
        if "\\input" not in text and "\\include{" not in text and "\\subfile" not in text and "@input" not in text:
            if is_main:
                self._learn_paths(text)
            return
        num_names = len(self._own) + len(self._aliases)
        self._learn_paths(text)
        for name, target in _ALIAS.findall(text)[: MAX_OWN_COMMANDS - len(self._aliases)]:
            self._aliases[name] = target
        for match in _INPUT_PATH.finditer(text) if "input@path" in text else ():
            self._folders += re.findall(r"\{\s*([^{}]*?)\s*\}", match[1])[: MAX_FOLDERS - len(self._folders)]
        for match in _OWN_COMMAND.finditer(text):
            self._learn_command(text, match)
        if len(self._own) + len(self._aliases) != num_names:
            self.pattern = self._compiled()

    def _learn_paths(self, text: str) -> None:
        for name, path in _PATH_MACRO.findall(text):
            self._paths.setdefault(name, path.strip())

    def _learn_command(self, text: str, match: re.Match[str]) -> None:
        end = group_end(text, match.end(), min(len(text), match.end() + _MAX_BODY_CHARS))
        body = text[match.end() + 1 : end - 1]
        inner = _INNER_INPUT.search(body) if end > 0 else None
        if inner is None or len(self._own) >= MAX_OWN_COMMANDS:
            return
        count = int(match["count"] or 0) or len(match["parameters"] or "") // 2
        name = match["new"] or match["def"]
        self._own[name] = _OwnCommand(count, body[: inner.start()], inner[1], body[inner.end() :])

    def search_folders(self, root: str) -> list[str]:
        r"""Returns the folders that ``\input@path`` adds."""
        return [posixpath.join(root, folder) for folder in self._folders]

    def read(self, text: str, match: re.Match[str]) -> InputCommand | None:
        """Reads the command that begins with ``match``. Returns None if the command reads no file or gives no file
        name."""
        if match["from"]:
            folder = _BRACED_NAME.match(text, match.end())
            name = None if folder is None else _BRACED_NAME.match(text, folder.end())
            if folder is None or name is None:
                return None
            is_relative = match["from"].startswith("sub")
            return InputCommand(self._plain(name[1]), name.end(), is_relative, self._plain(folder[1]))
        command = match["name"]
        if command is None:
            return None
        command = self._aliases.get(command, command)
        if command in self._own:
            return self._read_own(text, match, self._own[command])
        return self._read_input(text, match.end(), command) if command in _INPUTS else None

    def _read_input(self, text: str, pos: int, command: str) -> InputCommand | None:
        found = _BRACED_NAME.match(text, pos)
        if command.endswith("IfFileExists"):
            return None if found is None else self._read_if_exists(text, command, found)
        if found is None and command in _BARE:
            found = _QUOTED_NAME.match(text, pos) or _BARE_NAME.match(text, pos)
            if found is None and (macro := _BARE_MACRO.match(text, pos)) is not None and macro[1] in self._paths:
                return InputCommand(self._paths[macro[1]] + macro[2], macro.end())
        return None if found is None else InputCommand(self._plain(found[1]), found.end())

    def _read_if_exists(self, text: str, command: str, found: re.Match[str]) -> InputCommand | None:
        r"""Reads ``\InputIfFileExists{file}{text before the file}{text if the file is missing}``, or ``\IfFileExists``.

        ``\IfFileExists`` reads a file only if its second argument contains a command that reads a file.
        """
        ends = [found.end()]
        groups = []
        for _ in range(2):
            start = re.compile(r"\s*").match(text, ends[-1])
            pos = start.end() if start else ends[-1]
            end = group_end(text, pos, min(len(text), pos + _MAX_BODY_CHARS)) if text.startswith("{", pos) else -1
            if end < 0:
                return None
            groups.append(text[pos + 1 : end - 1])
            ends.append(end)
        if command == "InputIfFileExists":
            return InputCommand(self._plain(found[1]), ends[-1], before=groups[0], otherwise=groups[1])
        inner = _INNER_INPUT.search(groups[0])
        if inner is None:
            return None
        before, after = groups[0][: inner.start()], groups[0][inner.end() :]
        return InputCommand(self._plain(inner[1]), ends[-1], before=before, after=after, otherwise=groups[1])

    def _read_own(self, text: str, match: re.Match[str], own: _OwnCommand) -> InputCommand | None:
        arguments: list[str] = []
        pos = match.end()
        if text.startswith("}", pos):
            return None  # this is the command's own definition
        for _ in range(own.num_arguments):
            found = _BRACED_NAME.match(text, pos)
            if found is None:
                return None
            arguments.append(found[1])
            pos = found.end()

        def fill(part: str) -> str:
            return re.sub(
                r"#([1-9])", lambda m: arguments[int(m[1]) - 1] if int(m[1]) <= len(arguments) else m[0], part
            )

        return InputCommand(self._plain(fill(own.name)), pos, before=fill(own.before), after=fill(own.after))

    def _plain(self, name: str) -> str:
        if "\\" not in name:
            return name.strip()
        return re.sub(r"\\([A-Za-z]+)\s*", lambda m: self._paths.get(m[1], m[0]), name).strip()


def opaque_end(text: str, match: re.Match[str], verbatim: Verbatim, unclosed: set[str]) -> int:
    """Returns -1 if ``match`` may be a command that reads a file.

    In all other cases, returns the position where the search for such commands continues. For example, if ``match``
    begins verbatim text, the search continues at the end of that text.
    """
    environment, inline = match["environment"], match["inline"]
    if environment is not None:
        is_opaque = environment in verbatim.environments or environment in verbatim.removed
        if not is_opaque or environment in unclosed:
            return match.end()
        end = text.find(f"\\end{{{environment}}}", match.end())
        if end < 0:
            unclosed.add(environment)
            return match.end()
        return match.end() if text[end - 1] == "{" else end
    if inline is not None:
        return max(inline_end(text, inline, match.end()), match.end())
    if match["short"] or (verbatim.marks and text[match.start() - 1 : match.start()] in verbatim.marks):
        return match.end()
    return -1
