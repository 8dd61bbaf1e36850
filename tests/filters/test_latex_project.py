"""Tests how a project's files become one source: the main file is found, inputs are inserted, and styles that come with
the paper are used.
"""

from __future__ import annotations

import pytest

from filters.latex.commands import expand_macros
from filters.latex.main_file import find_main
from filters.latex.project import assemble


@pytest.mark.parametrize(
    ("files", "main"),
    [
        (
            {"a.tex": "\\documentclass{x}\\begin{document}", "b.tex": "\\documentclass{x}\\begin{document}" + "y" * 99},
            "b.tex",
        ),
        ({"a.tex": "\\documentclass{x}\\begin{document}\\input{b}", "b.tex": "y" * 999 + "\\section{x}"}, "a.tex"),
        (
            {
                "supp.tex": "\\documentclass{x}\\begin{document}" + "y" * 999,
                "a.tex": "\\documentclass{x}\\begin{document}",
            },
            "a.tex",
        ),
        (
            {"f.tex": "\\documentclass{standalone}\\begin{document}yy", "a.tex": "\\documentclass{x}\\begin{document}"},
            "a.tex",
        ),
        ({"old.tex": "\\documentstyle{x}\n\\begin{document}", "b.txt": "words"}, "old.tex"),
        ({"plain.tex": "\\magnification=1200 text \\bye"}, "plain.tex"),
        ({"wrap.tex": "\\input{main}", "main.tex": "\\documentclass{x}\n\\begin{document}"}, "main.tex"),
        ({"notes.txt": "no tex"}, None),
        ({}, None),
    ],
)
def test_main_file(files: dict[str, str], main: str | None) -> None:
    assert find_main(files) == main


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.tex": "\\input b \\input b.tex\n", "b.tex": "B\n"}, "B\n B\n\n"),
        ({"a.tex": "\\import{dir/}{b}", "dir/b.tex": "\\input{c}", "dir/c.tex": "C\n"}, "C\n\n"),
        (
            {"a.tex": "\\subfile{s/b}", "s/b.tex": "\\documentclass{x}\\begin{document}B\\end{document}"},
            "\\subfile{s/b}",
        ),
        (
            {"a.tex": "\\begin{verbatim}\\input{b}\\end{verbatim}", "b.tex": "B"},
            "\\begin{verbatim}\\input{b}\\end{verbatim}",
        ),
        ({"a.tex": "\\verb|\\input{b}| \\inputx{b}", "b.tex": "B"}, "\\verb|\\input{b}| \\inputx{b}"),
        ({"a.tex": "\\def\\d{s}\\input{\\d/b}", "s/b.tex": "B\n"}, "\\def\\d{s}B\n"),
        ({"a.tex": "x\\input{B}y", "b.tex": "% note"}, "x% note\ny"),
        ({"a.tex": "\\input{b}", "b.tex": "B\\endinput C"}, "B\n"),
    ],
)
def test_inputs(files: dict[str, str], expected: str) -> None:
    if "documentclass" in "".join(files.values()):
        files = {**files, "a.tex": "\\documentclass{y}" + files["a.tex"]}
        expected = "\\documentclass{y}B\n"
    assert assemble(files, "a.tex").text == expected


def test_a_public_style_is_not_expanded() -> None:
    files = {"a.tex": "\\usepackage{natbib,icml2020,mine}", "mine.sty": "\\def\\m{M}"}
    files |= {"natbib.sty": "\\newcommand{\\citet}[1]{x}", "icml2020.sty": "\\newcommand{\\icmltitle}[1]{x}"}
    text = assemble(files, "a.tex").text
    assert "\\def\\m{M}" in text
    assert "newcommand" not in text


def test_inputs_that_multiply_are_bounded() -> None:
    files = {f"f{number}.tex": f"\\input{{f{number + 1}}}\\input{{f{number + 1}}}" for number in range(30)}
    files["f30.tex"] = "x\n"
    assembled = assemble(files, "f0.tex")
    assert assembled.num_loops > 0
    assert len(assembled.text) < 200_000


def test_a_wrapper_that_sets_options_is_where_tex_starts() -> None:
    """A book has several print formats. For each format, a small file sets the size and inputs the main file."""
    files = {
        "book-a4.tex": "\\def\\size{a4}\\input{main}",
        "main.tex": "\\documentclass{book}\\begin{document}" + "y" * 99 + "\\end{document}",
        "solutions.tex": "\\documentclass{article}\\begin{document}" + "y" * 999 + "\\end{document}",
    }
    assert find_main(files) == "book-a4.tex"
    assert find_main(files | {"book-a4.tex": "\\input{main}"}) == "main.tex"


@pytest.mark.parametrize(
    ("before", "main"),
    [("% ", "b.tex"), ("\\\\% ", "b.tex"), ("50\\% ", "a.tex"), ("% x\n", "a.tex"), ("%\n% ", "b.tex")],
)
def test_a_class_in_a_comment_is_none(before: str, main: str) -> None:
    whole = "\\documentclass{x}\n\\begin{document}"
    assert find_main({"a.tex": before + whole + "y" * 99, "b.tex": whole}) == main


def test_only_definitions_that_a_style_makes_at_once_are_taken() -> None:
    style = (
        "\\newcommand{\\a}{A}\n\\DeclareOption{x}{\\renewcommand{\\a}{B}}\n\\my@macro{c}{\\let\\\\\\relax}\n"
        "\\AtBeginDocument{\\newcommand{\\d}{D}}\n{\\gdef\\g{G}}\n"
    )
    text = assemble({"a.tex": "\\usepackage{mine}\\begin{document}\\a\\d\\g", "mine.sty": style}, "a.tex").text
    assert expand_macros(text).text.endswith("\\begin{document}ADG")
