r"""Cleans arXiv's LaTeX: removes comments, expands users' macros in place, cuts front matter and bibliography.

LLaMA's paper says only this about its arXiv papers: "we removed everything before the first section, as well as the
bibliography. We also removed the comments from the .tex files, and inline-expanded definitions and macros written by
users to increase consistency across papers." The text stays LaTeX. ``docs/recipe.md`` lists what the quote leaves open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from filters.language.detect import DetectLanguage
from filters.latex.commands import expand_macros
from filters.latex.conditionals import resolve_conditionals
from filters.latex.groups import normalise_source
from filters.latex.lexer import strip_comments
from filters.latex.macros import PROTECTED
from filters.latex.structure import cut_paper
from filters.step import Models, Outcome, Step

_HEADING_LINE = re.compile(
    r"\\(?:chapter|part|(?:sub)*section|(?:sub)?paragraph)\*?\s*(?:\[[^\]\n]{0,300}\])?\{[^{}\n]{0,300}\}"
)
_WORD = re.compile(r"\\(?:[A-Za-z@]+(?:\[[^\]\n]{0,100}\])?|.)|([^\W\d_]{2})")
_COMMAND_NAME = re.compile(r"\\([A-Za-z]+)")
_MAX_NAMES_LOOKED_FOR = 300
"""If a paper defines more names than this, the uses of all names are counted in one pass over all commands of the text.
Otherwise, the text is searched once for each name."""
_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperText:
    """Holds a cleaned paper and its counts."""

    text: str
    title: str | None
    num_comments: int
    num_macros_expanded: int
    """Number of expanded calls of users' macros, including calls inside the texts of other macros."""
    num_macros_left: int
    """Number of uses, in the cleaned text, of commands that the paper's own files define."""
    num_headings: int
    num_lead_chars: int


def clean_latex(source: str, *, keep_abstract: bool = False, drop_appendix: bool = False) -> PaperText:
    r"""Cleans the source of one paper, whose files :func:`filters.latex.project.assemble` has joined into one text.

    All LaTeX besides the users' own macros stays unchanged: formulas, tables, captions of figures, labels.

    >>> paper = clean_latex(r'''\documentclass{article}
    ... \newcommand{\R}{\mathbb{R}}  % the reals
    ... \title{On $\R$}
    ... \begin{document}\maketitle
    ... \section{First}   % here
    ... Let $x \in \R$.
    ... \bibliography{refs}
    ... \end{document}''')
    >>> paper.text, paper.title, paper.num_macros_expanded
    ('\\section{First}\nLet $x \\in \\mathbb{R}$.\n', 'On $\\mathbb{R}$', 2)
    """
    code = strip_comments(normalise_source(source))
    settled, _ = resolve_conditionals(code.text)
    expanded = expand_macros(settled)
    text = expanded.text
    if "\\iffalse" in text or "\\iftrue" in text:  # an expanded macro may contain one of them
        text, _ = resolve_conditionals(text)
    cut = cut_paper(text, keep_abstract=keep_abstract, drop_appendix=drop_appendix)
    return PaperText(
        text=code.unseal(tidy(cut.text)),
        title=None if cut.title is None else code.unseal(cut.title),
        num_comments=code.num_comments,
        num_macros_expanded=expanded.num_expanded,
        num_macros_left=_num_left(cut.text, expanded.own_names - PROTECTED),
        num_headings=cut.num_headings,
        num_lead_chars=cut.num_lead_chars,
    )


def _num_left(text: str, own_names: frozenset[str]) -> int:
    if len(own_names) > _MAX_NAMES_LOOKED_FOR:
        return sum(name in own_names for name in _COMMAND_NAME.findall(text))
    found = (name for name in own_names if f"\\{name}" in text)
    return sum(len(re.findall(rf"\\{re.escape(name)}(?![A-Za-z])", text)) for name in found)


def tidy(text: str) -> str:
    r"""Removes spaces at the ends of lines, merges empty lines, and ends the text with one newline.

    >>> tidy("\n\na  \n \n\n\nb\n\n")
    'a\n\nb\n'
    """
    lines = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    lines = _BLANK_LINES.sub("\n\n", lines).strip("\n")
    return lines + "\n" if lines else ""


def has_words(text: str) -> bool:
    r"""Returns True if the text contains a word (two letters in a row) outside of headings and names of commands.

    The arguments of commands also count as text, for example the name of a label. Only the arguments of headings do
    not.

    >>> has_words(r"\section{Introduction} \label{sec}"), has_words(r"\section{A} We")
    (True, True)
    >>> has_words("\\section{Introduction}\n\\clearpage 1")
    False
    """
    return any(match[1] for match in _WORD.finditer(_HEADING_LINE.sub("", text)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Latex(Step):
    """Removes comments, front matter and bibliography of a paper, and expands user macros with their arguments.

    The step drops papers that have no words. If ``no_sections`` is ``drop``, the step also drops papers that have no
    heading. The step replaces the column ``text``, a paper's assembled source, by the paper's body in LaTeX.
    """

    keep_abstract: bool = False
    """Keeps title and abstract before the body. Off by default, because the LLaMA paper removes "everything before the
    first section"."""
    drop_appendix: bool = False
    """Cuts a paper at its appendix. Off by default, because the LLaMA paper removes only the bibliography at the end.
    """
    no_sections: Literal["keep", "drop"] = "keep"
    """Chooses what to do with papers without headings, such as letters. ``keep`` removes only their front matter.
    ``drop`` drops them."""

    NAME: ClassVar[str] = "latex"
    CITE: ClassVar[str] = "the paper"
    DATA_VERSION: ClassVar[int] = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"title": pa.string(), "num_macros_expanded": pa.int64()}
    REASONS: ClassVar[tuple[str, ...]] = ("empty", "no_sections")

    def __post_init__(self) -> None:
        if self.no_sections not in ("keep", "drop"):
            raise ValueError(f"no_sections must be 'keep' or 'drop', not {self.no_sections!r}")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Cleans every paper of the batch."""
        papers = [
            clean_latex(text, keep_abstract=self.keep_abstract, drop_appendix=self.drop_appendix)
            for text in batch.column("text").to_pylist()
        ]
        verdicts = [self._verdict(paper) for paper in papers]
        names = ("num_comments", "num_macros_expanded", "num_macros_left", "num_headings", "num_lead_chars")
        return Outcome(
            verdict=pa.array(verdicts, pa.string()),
            columns={
                "text": pa.array([paper.text for paper in papers], pa.string()),
                "title": pa.array([paper.title for paper in papers], pa.string()),
                "num_macros_expanded": pa.array([paper.num_macros_expanded for paper in papers], pa.int64()),
            },
            detail=pa.array(
                [None if v is None else str(p.num_headings) for v, p in zip(verdicts, papers, strict=True)], pa.string()
            ),
            signals={name: pa.array([getattr(paper, name) for paper in papers], pa.float64()) for name in names},
        )

    def _verdict(self, paper: PaperText) -> str | None:
        if not has_words(paper.text):
            return "empty"
        return "no_sections" if paper.num_headings == 0 and self.no_sections == "drop" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectPaperLanguage(DetectLanguage):
    """Fills in the language of papers, judged by their first characters. Drops nothing."""

    max_chars: int = 10_000
    """Number of characters at a paper's beginning that the model reads. Our choice: of 63 papers, 61 are prose. This
    many characters are enough to detect the language of all 61, and take a fifth of the time that whole papers take."""
