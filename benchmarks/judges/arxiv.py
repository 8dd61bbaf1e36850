r"""Judges cleaned arXiv papers, using only the raw tars; imports nothing of the pipeline.

    python benchmarks/judges/arxiv.py RAW.tar... --clean CLEAN_DIR

CLEAN_DIR contains the pipeline's Parquet files (``id``, ``text``). The table has one line per paper and one for all:

* macros: uses of the paper's own commands in the cleaned text, divided by their uses in the raw body. A command is the
  paper's own if a file of the paper defines it, directly or by a macro that defines macros. Classes, styles and macro
  files that come with the paper count as its files, but not public ones such as ``revtex``;
* comments: number of ``%`` in the cleaned text that TeX would read as the start of a comment;
* bibliography: number of commands and environments of a bibliography in the cleaned text;
* words: share of the words in the raw body that are in the cleaned text, counted with repetitions.

The raw body reaches from the first heading, or the end of the front matter, to the end of the document. Comments,
definitions and bibliography are left out.

This judge is a second, plain implementation on purpose. It finds comments line by line, ``\input`` by regular
expression, and definitions by counting braces. If the judge makes an error, the cleaned text looks worse than it is.
There is one exception: words in arguments that a macro does not use (``\newcommand{\todo}[1]{}``) are not counted as
raw words.
"""

from __future__ import annotations

import argparse
import gzip
import io
import posixpath
import re
import tarfile
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

_VERBATIM = re.compile(
    r"\\begin\{(verbatim\*?|Verbatim|lstlisting|minted|Sinput|Soutput|Scode|CodeInput|CodeOutput|alltt)\}.*?\\end\{\1\}"
    r"|\\(?:verb|lstinline)\*?([^A-Za-z\s{*]).*?\2|\\(?:url|path|href|nolinkurl)\s*\{[^{}\n]*\}",
    re.DOTALL,
)
_DEFINES = re.compile(
    r"\\(?:(?:re)?newcommand|providecommand|DeclareRobustCommand)\*?\s*\{?\s*\\([A-Za-z]+)\s*\}?\s*(\[\d\])?\s*(\[[^\]]*\])?"
    r"|\\(?:[gex]?def)\s*\\([A-Za-z]+)([^{\n]*)|\\DeclareMathOperator\*?\s*\{?\s*\\([A-Za-z]+)\s*\}?"
    r"|\\let\s*\\([A-Za-z]+)\s*=?\s*\\[A-Za-z]+"
)
_NAMES_ONLY = re.compile(
    r"\\(?:(?:New|Renew|Provide|Declare)DocumentCommand|(?:re)?newcommandx|newcommandtwoopt|newrobustcmd"
    r"|DeclarePairedDelimiter(?:X|XPP)?|define|redefine|LetLtxMacro)\*?\s*\{?\s*\\([A-Za-z]+)"
    r"|\\(?:@namedef|csdef|csgdef)\s*\{([A-Za-z]+)\}|\\csname\s*([A-Za-z]+)\s*\\endcsname\s*(?=[#{])"
)
"""Matches further forms of definitions. Only the names that they define are collected. The definitions are not
removed.
"""
_DEFINER = re.compile(r"\\(?:def\s*\\([A-Za-z]+)\s*#1|newcommand\*?\s*\{?\s*\\([A-Za-z]+)\s*\}?\s*\[1\])\s*(?=\{)")
_MADE_NAME = re.compile(
    r"(?:def|newcommand\*?)\s*\{?\s*\\csname\s*([A-Za-z]*)#1([A-Za-z]*)\s*\\endcsname|@namedef\s*\{([A-Za-z]*)#1([A-Za-z]*)\}"
)
_PUBLIC = re.compile(r"docstrip|Project Public Licen[cs]e|\bLPPL\b|\bCTAN\b", re.IGNORECASE)
_PUBLIC_NAMES = re.compile(
    r"(?:natbib|epsf|epsfig|psfig|ams\w+|hyperref|revtex|aastex|aas_macros|siam|mn2e|acl|emnlp|naacl|icml|nips|neurips|iclr|cvpr|aaai|ijcai"
    r"|ieee|acm|sig|llncs|svjour|elsart|jhep|algorithm|times|cite|subfig|titlesec|fancyhdr|wlpeerj|emulateapj|axodraw"
    r"|feynm|youngtab|diagrams|xy|slashed|braket)[\w-]*\Z",
    re.IGNORECASE,
)
"""Matches names of public classes and packages. Authors submit these files but did not write them. A command that such
a file defines is not counted as the paper's own.
"""
_STANDARD_NAMES = """
section subsection subsubsection paragraph subparagraph chapter part appendix maketitle abstract bibliography item
cite ref pageref eqref thesection thesubsection figurename tablename refname baselinestretch arraystretch footnote
caption label
"""
_STANDARD = frozenset(_STANDARD_NAMES.split())
"""Commands that all papers share. If an author redefines one of them, the cleaned text contains the command
unchanged.
"""
_SAVES = re.compile(r"\\let\s*\\[A-Za-z]+\s*=?\s*\\([A-Za-z]+)|\\let\s*\\([A-Za-z]+)\s*=?\s*\\undefined(?![A-Za-z])")
_HEADING = re.compile(r"\\(?:chapter|part|(?:sub)*section|(?:sub)?paragraph)\*?\s*[\[{]")
_BIBLIOGRAPHY = re.compile(
    r"\\begin\{(thebibliography|references)\}.*?(?:\\end\{\1\}|\Z)|\\bibliography(?:style)?\s*\{[^}]*\}"
    r"|\\printbibliography(?:\[[^\]]*\])?|\\nocite\{[^}]*\}|\\bibitem",
    re.DOTALL,
)
_LEFT_BIBLIOGRAPHY = re.compile(
    r"\\(?:bibitem|bibliography|bibliographystyle|printbibliography)(?![A-Za-z])|\{thebibliography\}"
)
_FRONT = re.compile(r"\\maketitle|\\end\{abstract\}|\\end\{frontmatter\}")


@dataclass
class Verdict:
    """Holds what the judge counted in one paper (uses of macros, comments, words), or the sums over all papers."""

    num_raw_uses: int = 0
    num_uses_left: int = 0
    num_comments_left: int = 0
    num_bibliography_left: int = 0
    num_raw_words: int = 0
    num_words_kept: int = 0

    def add(self, other: Verdict) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    @property
    def share_left(self) -> float:
        return self.num_uses_left / max(self.num_raw_uses, 1)

    @property
    def share_kept(self) -> float:
        return self.num_words_kept / max(self.num_raw_words, 1)


def without_comments(text: str) -> str:
    """Removes verbatim text, and then comments, line by line. A ``%`` in verbatim text does not begin a comment."""
    text = _VERBATIM.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(r"\\begin\{comment\}.*?\\end\{comment\}", "", text, flags=re.DOTALL)
    lines = [re.sub(r"(?<!\\)((?:\\\\)*)%.*", r"\1", line) for line in text.split("\n")]
    return re.sub(r"\\iffalse\b.*?\\fi\b", "", "\n".join(lines), flags=re.DOTALL)


def closed(text: str, pos: int) -> int:
    """Returns the position after the group that opens at ``pos``."""
    depth = 0
    while pos < len(text):
        if text[pos] == "\\":
            pos += 1
        elif text[pos] == "{":
            depth += 1
        elif text[pos] == "}":
            depth -= 1
            if depth <= 0:
                return pos + 1
        pos += 1
    return pos


def definitions(text: str) -> tuple[str, dict[str, bool]]:
    """Removes the definitions of macros. Returns the remaining text, and a dict from each defined name to a boolean.

    The boolean is False if the macro takes arguments and its body does not use them, else True.
    """
    names: dict[str, bool] = {}
    out, pos = [], 0
    for match in _DEFINES.finditer(text):
        if match.start() < pos:
            continue
        name = match[1] or match[4] or match[6] or match[7]
        end = match.end()
        body = ""
        if not match[7]:
            while end < len(text) and text[end] in " \n\t":
                end += 1
            stop = (
                closed(text, end) if text[end : end + 1] == "{" else re.compile(r"\\[A-Za-z]+|.").match(text, end).end()
            )
            body, end = text[end:stop], stop
        takes = bool(match[2]) or "#" in (match[5] or "")
        names[name] = not takes or "#" in body
        out.append(text[pos : match.start()])
        pos = end
    out.append(text[pos:])
    return "".join(out), names


def own_names(files: dict[str, str]) -> set[str]:
    """Returns the names of all commands that the paper's own files define. Files that the document does not read are
    included. Public classes and packages are not.
    """
    names: set[str] = set()
    for path, text in files.items():
        stem, ending = posixpath.splitext(posixpath.basename(path))
        if ending != ".tex" and (_PUBLIC_NAMES.match(stem) or _PUBLIC.search(text[:6000])):
            continue
        code = without_comments(text)
        names |= set(definitions(code)[1])
        names |= {name for match in _NAMES_ONLY.finditer(code) for name in match.groups() if name}
        for match in _DEFINER.finditer(code):
            body = code[match.end() : closed(code, match.end())]
            made = [(m[1] or m[3] or "", m[2] or m[4] or "") for m in _MADE_NAME.finditer(body)]
            calls = re.findall(rf"\\{match[1] or match[2]}(?:\s*\{{([A-Za-z]+)\}}|\s+([A-Za-z]))", code) if made else []
            names |= {f"{before}{a or b}{after}" for before, after in made for a, b in calls}
    return names


def raw_text(files: dict[str, str], cleaned: str) -> str:
    """Finds the raw document that the cleaned text was made from. Returns it with all files that it reads inserted, and
    without comments.

    A paper's files can contain several documents (a long version, a journal's template, an answer to referees). This
    judge uses the document that shares the most words with the cleaned text. So it does not test whether the right
    document was cleaned.
    """
    plain = {name: without_comments(text) for name, text in files.items()}

    def inlined(name: str, seen: tuple[str, ...]) -> str:
        def put(match: re.Match[str]) -> str:
            target = posixpath.normpath((match[1] or match[2]).strip())
            for found in (f"{target}.tex", target):
                if found in plain and found not in seen:
                    return inlined(found, (*seen, found))
            return match[0]

        return re.sub(r"\\(?:input|include|subfile)(?:\s*\{([^}]*)\}|\s+([^\s\\{}]+))", put, plain[name])

    mains = [
        name
        for name, text in plain.items()
        if name.endswith((".tex", ".ltx")) and "\\begin{document}" in text and "\\document" in text
    ]
    wholes = [inlined(name, (name,)) for name in mains or plain]
    if len(wholes) == 1:
        return wholes[0]
    found = words(cleaned)

    def likeness(whole: str) -> float:
        there = words(whole)
        return 2 * (there & found).total() / max(there.total() + found.total(), 1)

    return max(wholes, key=likeness)


def words(text: str) -> Counter[str]:
    """Counts the words of a text, without the names of commands and environments."""
    text = re.sub(r"\\(?:begin|end)\s*\{[^}]*\}|\\[A-Za-z@]+", " ", text)
    return Counter(re.findall(r"[^\W\d_]{3,}", text))


def body_of(text: str) -> str:
    begin = text.find("\\begin{document}")
    body = text[begin + 16 if begin >= 0 else 0 :].split("\\end{document}")[0]
    heading = _HEADING.search(body)
    start = heading.start() if heading else 0
    front = [match.end() for match in _FRONT.finditer(body, 0, start or len(body))]
    if not heading or (front and start - front[-1] > len(body) / 2):
        start = front[-1] if front else 0
    return _BIBLIOGRAPHY.sub(" ", body[start:])


def dropped_arguments(body: str, names: dict[str, bool]) -> str:
    """Removes the arguments of macros whose bodies do not use them. For these macros, ``names`` is False."""
    for name in (name for name, uses in names.items() if not uses):
        pos = 0
        pattern = re.compile(rf"\\{name}(?![A-Za-z])\s*(?=\{{)")
        while (match := pattern.search(body, pos)) is not None:
            body = body[: match.start()] + " " + body[closed(body, match.end()) :]
            pos = match.start()
    return body


def judge(files: dict[str, str], cleaned: str) -> Verdict:
    """Returns the counts for one paper. ``files`` maps the names of its raw files to their texts."""
    raw = raw_text(files, cleaned)
    code, names = definitions(raw)
    saved = {match[1] or match[2] for match in _SAVES.finditer(raw)}  # the old meaning may be in the cleaned text
    own = (set(names) | own_names(files)) - _STANDARD - saved
    body = body_of(code)
    used = re.compile(r"\\([A-Za-z]+)")
    clean_code = without_comments(cleaned)
    raw_words = words(dropped_arguments(body, names))
    clean_words = words(clean_code)
    return Verdict(
        num_raw_uses=sum(name in own for name in used.findall(body)),
        num_uses_left=sum(name in own for name in used.findall(clean_code)),
        num_comments_left=len(re.findall(r"(?<!\\)(?:\\\\)*%", _VERBATIM.sub(" ", cleaned))),
        num_bibliography_left=len(_LEFT_BIBLIOGRAPHY.findall(clean_code)),
        num_raw_words=raw_words.total(),
        num_words_kept=(raw_words & clean_words).total(),
    )


def raw_files(data: bytes) -> dict[str, str]:
    """Unpacks a paper's ``ID.gz``. Returns a dict from the name of each TeX file in it to the file's text."""
    unpacked = gzip.decompress(data)
    try:
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
            members = {
                m.name: tar.extractfile(m)
                for m in tar
                if m.isfile() and m.name.endswith((".tex", ".ltx", ".sty", ".cls", ".def"))
            }
            found = {posixpath.normpath(name): file.read() for name, file in members.items() if file}
    except tarfile.ReadError:
        found = {"main.tex": unpacked}
    out = {}
    for name, raw in found.items():
        try:
            out[name] = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            out[name] = raw.decode("latin-1")
    return out


def papers(tars: list[Path]) -> dict[str, dict[str, str]]:
    """Reads all papers in arXiv's bulk tars. Returns a dict from each paper's id to its TeX files (see
    :func:`raw_files`).
    """
    found = {}
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(".gz") else None
                if file is not None:
                    name = posixpath.basename(member.name)[:-3]
                    name = re.sub(r"^([a-z-]+)(\d{7})$", r"\1/\2", name)
                    found[name] = raw_files(file.read())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("raw", nargs="+", type=Path, help="arXiv_src_*.tar")
    parser.add_argument("--clean", type=Path, required=True, help="folder of the pipeline's Parquet files")
    arguments = parser.parse_args()
    import pyarrow.dataset

    table = pyarrow.dataset.dataset(arguments.clean, format="parquet").to_table(columns=["id", "text"])
    cleaned = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    total = Verdict()
    raw = papers(arguments.raw)
    print(f"{'paper':20} {'macros left':>16} {'comments':>8} {'bibl.':>6} {'words kept':>20}")
    for name, files in raw.items():
        if name not in cleaned:
            print(f"{name:20} not in the cleaned papers")
            continue
        verdict = judge(files, cleaned[name])
        total.add(verdict)
        print(_row(name, verdict))
    print(_row(f"all {len(raw)}", total))


def _row(name: str, verdict: Verdict) -> str:
    return (
        f"{name:20} {verdict.num_uses_left:6}/{verdict.num_raw_uses:<6}{verdict.share_left:5.1%}"
        f" {verdict.num_comments_left:6} {verdict.num_bibliography_left:6}"
        f" {verdict.num_words_kept:8}/{verdict.num_raw_words:<8}{verdict.share_kept:7.2%}"
    )


if __name__ == "__main__":
    main()
