"""Tests the LaTeX steps (comments, conditionals, macros, cuts) with single cases and with properties that hold for any
text. Some cases are known faults of other programs.
"""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.latex.commands import expand_macros
from filters.latex.conditionals import resolve_conditionals
from filters.latex.encoding import decode_file
from filters.latex.lexer import strip_comments
from filters.latex.math_mode import MathMode
from filters.latex.paper import Latex, clean_latex, tidy
from filters.latex.references import remove_bibliography
from filters.latex.structure import cut_paper, find_title

CASES = json.loads((Path(__file__).parents[1] / "cases" / "arxiv" / "latex.json").read_text(encoding="utf-8"))
SECONDS_FOR_A_HOSTILE_MB = 8.0
"""The limit allows for a busy machine. A real paper of 1 MB takes a tenth of a second."""


def paper(body: str, preamble: str = "") -> str:
    return f"\\documentclass{{article}}\n{preamble}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"


@pytest.mark.parametrize(("name", "source", "expected"), CASES["comments"])
def test_comments(name: str, source: str, expected: str) -> None:
    code = strip_comments(source)
    assert code.unseal(code.text) == expected


@pytest.mark.parametrize(("name", "source", "expected"), CASES["conditionals"])
def test_conditionals(name: str, source: str, expected: str) -> None:
    assert resolve_conditionals(source)[0] == expected


@pytest.mark.parametrize(("name", "source", "expected"), CASES["macros"])
def test_macros(name: str, source: str, expected: str) -> None:
    code = strip_comments(source)
    expanded = expand_macros(code.text)
    assert (code.unseal(expanded.text), expanded.num_left) == (expected, 0)


@pytest.mark.parametrize(("name", "source", "expected", "num_left"), CASES["left"])
def test_macros_left_as_they_stand(name: str, source: str, expected: str, num_left: int) -> None:
    expanded = expand_macros(source)
    assert (expanded.text, expanded.num_left) == (expected, num_left)


def test_thirty_doublings_are_left_and_counted() -> None:
    names = [chr(97 + i // 26) + chr(97 + i % 26) for i in range(31)]
    doublings = "".join(f"\\def\\z{a}{{\\z{b}\\z{b}}}" for a, b in pairwise(names))
    expanded = expand_macros(f"{doublings}\\def\\z{names[-1]}{{ha}}\\z{names[0]} \\z{names[-3]}")
    assert (expanded.text, expanded.num_left) == (f"\\z{names[0]} hahahaha", 1)


@pytest.mark.parametrize(
    "source",
    [
        "\\def\\a{\\b\\b}\\def\\b{\\c\\c}\\def\\c{\\a}" + "\\a \\b \\c " * 50_000,
        "\\newcommand{\\a}[1]{<#1>}" + "\\a{" * 200_000,
        "\\newcommand{\\a}[1]{<#1>}" + "\\a{" * 2_000 + "x" + "}" * 2_000,
        "\\def\\a#1;{<#1>}" + "\\a x" * 200_000,
        "\\iffalse " * 100_000,
        "\\url{%a" * 100_000,
        "\\begin{comment}" * 60_000,
        "\\begin{document}" + "{" * 500_000 + "\\def\\a{x}\\a",
        "\\def\\a{x\\def\\a{y}}" * 20_000 + "\\a" * 100_000,
        "\\section{References}\\bibitem{a} " * 30_000,
        "\\title{" * 150_000,
        "$" * 500_000 + "\\def\\m{\\ensuremath{x}}" + "\\m" * 100_000,
        " " * 1_000_000 + "x",
    ],
    ids=lambda source: source[:20],
)
def test_hostile_source_of_a_megabyte_ends(source: str) -> None:
    started = time.process_time()
    clean_latex(source)
    assert time.process_time() - started < SECONDS_FOR_A_HOSTILE_MB


@pytest.mark.slow
def test_a_source_of_twenty_megabytes_is_linear() -> None:
    part = (
        "We show $\\R^{n}$ and \\emph{all} of \\eps{x} % note\nand more \\begin{itemize} \\item it \\end{itemize}\n\n"
    )
    source = paper(
        "\\section{A}\n" + part * 190_000, "\\newcommand{\\R}{\\mathbb{R}}\\newcommand{\\eps}[1]{\\epsilon_{#1}}"
    )
    assert len(source) > 18_000_000
    started = time.process_time()
    cleaned = clean_latex(source)
    assert cleaned.num_macros_expanded == 380_000
    assert time.process_time() - started < 30.0


# The peers' faults: each loses text, or leaves macros, in the one lineage that all public systems share -------------


def test_a_non_ascii_letter_in_a_macro_loses_nothing() -> None:
    cleaned = clean_latex(paper("\\section{A}\nBy \\jose.", "\\newcommand{\\jose}{José}"))
    assert cleaned.text == "\\section{A}\nBy José.\n"


def test_only_paragraph_headings_keep_the_paper() -> None:
    assert clean_latex(paper("front\n\\paragraph{One} a\n\\subparagraph{Two} b")).text == (
        "\\paragraph{One} a\n\\subparagraph{Two} b\n"
    )
    assert clean_latex(paper("front\n\\subparagraph{Two} b")).text == "\\subparagraph{Two} b\n"


def test_no_heading_at_all_keeps_the_text_behind_the_front_matter() -> None:
    body = "\\title{T}\\maketitle\n\\begin{abstract}Short.\\end{abstract}\nWe measure.\n\n\\bibliography{x}"
    cleaned = clean_latex(paper(body))
    assert (cleaned.text, cleaned.num_headings, cleaned.title) == ("We measure.\n", 0, "T")


def test_the_letter_before_a_comment_stays_and_a_bare_percent_goes() -> None:
    assert clean_latex(paper("\\section{A}\nabc% x\nword%\n")).text == "\\section{A}\nabc\nword\n"


def test_a_percent_line_in_verbatim_stays() -> None:
    body = "\\section{A}\n\\begin{verbatim}\n% kept  \n\n\n\n\\section{no} \\R\n\\end{verbatim}"
    cleaned = clean_latex(paper(body, "\\newcommand{\\R}{\\mathbb{R}}"))
    assert (cleaned.text, cleaned.num_headings) == (body + "\n", 1)


def test_text_behind_the_bibliography_stays_and_the_appendix_is_a_setting() -> None:
    body = (
        "\\section{A} a\n\\begin{thebibliography}{9}\\bibitem{x} X.\\end{thebibliography}\n"
        "\\section*{Acknowledgements} thanks\n\\appendix\n\\section{More} m"
    )
    kept = "\\section{A} a\n\\section*{Acknowledgements} thanks\n"
    assert clean_latex(paper(body)).text == kept + "\\appendix\n\\section{More} m\n"
    assert clean_latex(paper(body), drop_appendix=True).text == kept


@pytest.mark.parametrize(
    "command",
    [
        "\\printbibliography",
        "\\printbibliography[heading=none]",
        "\\bibliographystyle{plain}\n\\bibliography{a,b}",
        "\\begin{references}\n\\bibitem{a} x\n\\end{references}",
        "\\section*{References}\n[1] Somebody, 1999.",
        "\\section*{References}\n\\begin{thebibliography}{1}\\bibitem{a} x\\end{thebibliography}",
        "\\begin{thebibliography}{9}\\bibitem{x} never closed",
        "\\bibitem{a} A.\n\\bibitem{b} B.",
        "\\nocite{*}",
    ],
)
def test_bibliographies(command: str) -> None:
    assert clean_latex(paper(f"\\section{{A}}\ntext\n{command}\n")).text == "\\section{A}\ntext\n"


@pytest.mark.parametrize(
    "heading", ["Notation Reference", "Incorrect Limits in the Literature", "Cross references of terms"]
)
def test_a_heading_that_only_ends_in_such_a_word_is_no_bibliography(heading: str) -> None:
    body = f"\\section{{A}}\ntext\n\\section{{{heading}}}\nwords\n\\section{{B}}\nmore\n"
    assert clean_latex(paper(body)).text == body


def test_a_section_on_the_literature_is_told_from_a_list_of_it() -> None:
    review = "\\section{A}\ntext\n\\section{Literature}\nAs \\citet{x} shows.\n"
    assert clean_latex(paper(review)).text == review
    assert (
        clean_latex(paper("\\section{A}\ntext\n\\section{Literature}\n[1] Somebody.\n")).text == "\\section{A}\ntext\n"
    )


def test_a_part_with_references_of_its_own_stays() -> None:
    body = "\\section{A}\n\\begin{refsection}\ntext\n\\printbibliography\n\\end{refsection}\n"
    assert clean_latex(paper(body)).text == "\\section{A}\n\\begin{refsection}\ntext\n\\end{refsection}\n"


def test_sections_that_are_environments_are_sections() -> None:
    body = "\\begin{section}{One}\ntext\n\\end{section}"
    cleaned = clean_latex(paper(f"\\maketitle front matter\n{body}"))
    assert (cleaned.text, cleaned.num_headings) == (body + "\n", 1)


def test_a_bibliography_is_found_behind_a_macro() -> None:
    body = "\\section{A}\ntext\n\\bb x\\eb"
    preamble = "\\def\\bb{\\begin{thebibliography}{9}}\\def\\eb{\\end{thebibliography}}"
    assert clean_latex(paper(body, preamble)).text == "\\section{A}\ntext\n"


def test_title_and_abstract_are_a_setting() -> None:
    body = "\\title{On \\R}\\begin{abstract}\nWe show.\n\\end{abstract}\n\\section{A}\ntext"
    source = paper(body, "\\newcommand{\\R}{$\\mathbb{R}$}")
    assert clean_latex(source).text == "\\section{A}\ntext\n"
    assert clean_latex(source, keep_abstract=True).text == (
        "\\title{On $\\mathbb{R}$}\n\n\\begin{abstract}\nWe show.\n\\end{abstract}\n\n\\section{A}\ntext\n"
    )


def test_text_in_front_of_a_single_late_heading_is_the_paper() -> None:
    letter = "\\maketitle\n" + "We measure it again.\n" * 300 + "\\section*{Acknowledgements}\nthanks"
    cleaned = clean_latex(paper(letter))
    assert cleaned.text.startswith("We measure it again.\n")
    assert cleaned.num_lead_chars > 5000
    front = "\\maketitle\n" + "An introduction. " * 10 + "\\section{A}\nshort"
    assert clean_latex(paper(front)).text == "\\section{A}\nshort\n"


def test_nothing_behind_the_end_of_the_document() -> None:
    assert clean_latex(paper("\\section{A}\nx") + "\\section{Old} y").text == "\\section{A}\nx\n"


def test_plain_tex_without_any_preamble() -> None:
    assert clean_latex("\\def\\R{{\\bf R}}\nLet $x\\in\\R$.\n\\bye\nrest").text == "Let $x\\in{\\bf R}$.\n"


def test_titles() -> None:
    assert find_title("\\icmltitle{A \\\\ B}") == "A B"
    assert find_title("\\title{}\\title{Second}") == "Second"
    assert find_title("no title") is None
    assert find_title("\\title{\\vspace{-1cm}\\fontsize{22}{12}\\selectfont{A {Survey}}}") == "A {Survey}"
    assert find_title("\\hypersetup{pdftitle={On rivers},pdfauthor={X}}") == "On rivers"


def test_seals_survive_copying_and_dropping() -> None:
    source = "\\newcommand{\\two}[1]{#1 #1}\\newcommand{\\no}[1]{}\\section{A}\n\\two{\\verb|%|} \\no{\\verb|x|}."
    assert clean_latex(source).text == "\\section{A}\n\\verb|%| \\verb|%| .\n"


def test_math_mode_ends_with_the_paragraph() -> None:
    mode = MathMode()
    assert mode.holds(["an open $ sign"])
    assert not mode.holds(["an open $ sign", "\n\nnext"])


# Laws -----------------------------------------------------------------------------------------------------------------

_PIECES = r"""
\newcommand{\a} \def\b#1 { } [ ] % \a \b x é $ #1 \ \begin{document} \end{document} \section{S} \verb| | \iffalse \fi
\else \let \begin{verbatim} \end{verbatim} \bibitem \ensuremath \xspace \ifmmode \csname \newenvironment{e} \begin{e}
\end{e} \@x \makeatletter \NewDocumentCommand\c{som} \c \title{ \begin{thebibliography} \ifx \newif\ifa \atrue \ifa
\if0 \ifnum1=0 \let\a\relax \let\ifa\iffalse \comment \endcomment \newenvironment{e}{\comment}{} \MakeShortVerb{\|} |
\DeleteShortVerb{\|} \def\c{\verb} \@for\z:=a,b\do{\def\b{\z}} \expandafter \csname\ x\endcsname \Refs \endRefs
\head \endhead References \centerline{ \bibliography{x} \ref\key \endref \Title{ \topmatter \begin{enumerate}
\end{enumerate} \mathpalette \frac \hat \small \left \right \foreach\z\ in{a,...,c}{\def\b{\z}} \docsvlist{a}
"""
PIECES = _PIECES.split()
SOURCES = st.lists(st.sampled_from([*PIECES, "\n", "\n\n", " ", "\x00"]), max_size=60).map("".join)


@settings(max_examples=300, deadline=None)
@given(SOURCES)
def test_any_source_ends_and_holds_no_seal(source: str) -> None:
    cleaned = clean_latex(source)
    assert "\x00" not in cleaned.text
    assert cleaned.num_macros_expanded >= 0
    assert cleaned.num_macros_left >= 0


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab \n.,", max_size=200))
def test_plain_words_are_only_tidied(text: str) -> None:
    assert clean_latex(text).text == tidy(text)
    assert tidy(tidy(text)) == tidy(text)


@settings(max_examples=100, deadline=None)
@given(SOURCES)
def test_bibliography_removal_only_takes_away(source: str) -> None:
    shorter = remove_bibliography(source)
    assert len(shorter) <= len(source)
    assert cut_paper(source).num_headings >= 0


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=100))
def test_every_byte_string_has_a_text(data: bytes) -> None:
    assert isinstance(decode_file(data).text, str)


def test_encodings() -> None:
    assert decode_file("\\usepackage[koi8-r]{inputenc} Да".encode("koi8_r")).text.endswith("Да")
    assert decode_file("Łódź".encode("iso8859-2"), "iso8859-2").text == "Łódź"
    assert decode_file("é".encode("utf-16")).text == "é"
    assert decode_file("\ufeffx".encode()).text == "x"


# The step -------------------------------------------------------------------------------------------------------------


def test_the_step_answers_for_each_paper_alone() -> None:
    sources = [
        paper("\\title{T}\n\\section{A}\nWe $\\R$.", "\\newcommand{\\R}{\\mathbb{R}}"),
        paper("\\section{Introduction}\n\\bibliography{x}"),
        paper("No headings here."),
    ]
    batch = pa.record_batch({"text": sources})
    outcome = Latex().apply(batch, {})
    assert outcome.verdict.to_pylist() == [None, "empty", None]
    assert outcome.columns["text"].to_pylist() == [
        "\\section{A}\nWe $\\mathbb{R}$.\n",
        "\\section{Introduction}\n",
        "No headings here.\n",
    ]
    assert outcome.columns["title"].to_pylist() == ["T", None, None]
    assert outcome.columns["num_macros_expanded"].to_pylist() == [1, 0, 0]
    assert outcome.signals["num_headings"].to_pylist() == [1.0, 1.0, 0.0]
    assert Latex(no_sections="drop").apply(batch, {}).verdict.to_pylist() == [None, "empty", "no_sections"]
    assert Latex().apply(batch.slice(2), {}).columns["text"].to_pylist() == ["No headings here.\n"]
    assert Latex().apply(batch.slice(0, 0), {}).verdict.to_pylist() == []


def test_the_step_refuses_an_unknown_rule() -> None:
    with pytest.raises(ValueError, match="no_sections"):
        Latex(no_sections="maybe")  # type: ignore[arg-type]
