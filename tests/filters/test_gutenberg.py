"""Tests that Gutenberg's header and footer are removed, in all wordings of fifty years, and that no text of a book is
removed.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.books.boilerplate import Gutenberg, strip

_CASES = json.loads((Path(__file__).parents[1] / "cases" / "books" / "gutenberg.json").read_text("utf-8"))
_START, _END = "*** START OF THE PROJECT GUTENBERG EBOOK X ***", "*** END OF THE PROJECT GUTENBERG EBOOK X ***"


@pytest.mark.parametrize("case", _CASES, ids=[case["name"] for case in _CASES])
def test_wordings(case: dict[str, list[str]]) -> None:
    raw = "\n".join(case["raw"]) + "\n"
    stripped = strip(raw)
    assert stripped.text.splitlines() == case["book"]
    assert len(stripped.text) + stripped.header_chars + stripped.footer_chars >= len(raw)
    assert stripped.header_chars > 0


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_text_without_marks_passes_unchanged(text: str) -> None:
    assert strip(f"A line.\n\n{text}").text == f"A line.\n\n{text}"


@given(st.lists(st.text(alphabet="abc XYZ.*\n-[]'", max_size=80), max_size=20))
def test_what_stands_between_the_marks_is_kept(paragraphs: list[str]) -> None:
    body = "CHAPTER I\n\n" + "\n\n".join(paragraphs) + "\n\nHe went home."
    assert strip(f"{_START}\n\n{body}\n\n{_END}\n\nlicence").text == body + "\n"


def test_the_parts_of_an_omnibus_are_all_kept() -> None:
    part = "He walked on and on until the evening came.\n" * 100
    start = f"{_START}\n\nProduced by Some One"
    raw = "\n\n".join(
        f"{start}\n\nPART {number}\n\n{part}\n\nEnd of Project Gutenberg's Part {number}\n\n{_END}"
        for number in range(5)
    )
    text = strip(raw + "\n\nUpdated editions will replace the previous one.\n").text
    assert re.findall(r"PART \d", text) == [f"PART {number}" for number in range(5)]
    assert text.count("He walked") == 500
    assert "Gutenberg" not in text
    assert "Produced" not in text


def test_an_end_mark_in_the_middle_of_a_book_does_not_end_it() -> None:
    volume = "He walked on and on until the evening came.\n" * 2_000
    raw = f"{_START}\n\n{volume}\n\nEnd of the Project Gutenberg EBook of Volume 1\n\n{volume}\n\n{_END}\n\nlicence\n"
    text = strip(raw).text
    assert text.count("He walked") == 4_000
    assert "Gutenberg" not in text
    assert "licence" not in text


@pytest.mark.parametrize(
    "line",
    [
        "End of Project Gutenberg's X\n",
        _START + "\n",
        _END + "\n\nx\n\n",
        "Produced by A\n\n",
        "+---\n",
        "*" * 70 + "\n",
        " \n",
    ],
)
def test_time_is_linear(line: str) -> None:
    def seconds(num_chars: int) -> float:
        text = line * (num_chars // len(line))
        start = time.process_time()
        strip(text)
        return time.process_time() - start

    assert seconds(2_000_000) < 4.0  # quadratic would be minutes; the slowest takes half a second


def test_the_step_edits_and_never_drops() -> None:
    batch = pa.record_batch({"id": ["a", "b"], "text": [f"{_START}\n\nHe went.\n\n{_END}\n", "He stayed.\n"]})
    outcome = Gutenberg().apply(batch, {})
    assert outcome.columns["text"].to_pylist() == ["He went.\n", "He stayed.\n"]
    assert outcome.verdict.null_count == 2
    assert outcome.signals["gutenberg_header_chars"].to_pylist() == [len(_START) + 2.0, 0.0]
    assert outcome.signals["gutenberg_footer_chars"].to_pylist() == [len(_END) + 2.0, 0.0]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", re.sub(r"[’']", "", text.lower()))


# The first and the last words that are the book's, judged by eye.
_EDGES = {
    "11/11-0.txt": ("alices adventures in wonderland", "the end"),
    "11/11.txt": ("alices adventures in wonderland", "the end"),
    "11/old/alice30.txt": ("alices adventures in wonderland", "the end"),
    "1342/1342-0.txt": ("pride and prejudice by jane austen chapter 1", "had been the means of uniting them"),
    "1342/1342.txt": ("pride and prejudice by jane austen chapter 1", "had been the means of uniting them"),
    "1342/old/pandp10.txt": ("pride and prejudice by jane austen chapter 1", "had been the means of uniting them"),
    "1342/old/pandp11.txt": ("pride and prejudice by jane austen chapter 1", "had been the means of uniting them"),
    "1342/old/pandp12.txt": ("pride and prejudice by jane austen chapter 1", "had been the means of uniting them"),
    "14263/14263-8.txt": ("illustration i have waited all these years", "mrs francis ravenel the end"),
    "14263/14263.txt": ("illustration i have waited all these years", "mrs francis ravenel the end"),
    "14881/14881-8.txt": ("the log school house on the columbia", "left by the stupendous event"),
    "14881/14881.txt": ("the log school house on the columbia", "left by the stupendous event"),
    "22367/22367-8.txt": ("die verwandlung von franz kafka", "sich erhob und ihren jungen k rper dehnte"),
    "3261/3261.txt": ("news from nowhere or an epoch of rest", "cirencester and burford he must have meant"),
    "3261/old/nwsnw10.txt": ("news from nowhere or an epoch of rest", "cirencester and burford he must have meant"),
    "345/345-8.txt": ("dracula dracula by bram stoker", "grosset dunlap publishers new york"),
    "345/345.txt": ("dracula dracula by bram stoker", "grosset dunlap publishers new york"),
    "345/old/dracu10.txt": ("dracula by bram stoker 1897 edition", "dare much for her sake jonathan harker"),
    "345/old/dracu11.txt": ("dracula by bram stoker 1897 edition", "dare much for her sake jonathan harker"),
    "345/old/dracu12.txt": ("dracula by bram stoker 1897 edition", "dare much for her sake jonathan harker"),
    "345/old/dracu13.txt": ("dracula by bram stoker 1897 edition", "dare much for her sake jonathan harker"),
    "44157/44157-0.txt": ("entre nous lectures", "vignette ik blijf werken"),
    "44157/44157-8.txt": ("entre nous lectures", "vignette ik blijf werken"),
    "9198/9198-8.txt": ("the complete angler or the contemplative mans recreation", "and angling finis"),
    "9198/9198.txt": ("the complete angler or the contemplative mans recreation", "and angling finis"),
    "9198/old/7tcng10.txt": ("the complete angler or the contemplative mans recreation", "and angling finis"),
    "9198/old/8tcng10.txt": ("the complete angler or the contemplative mans recreation", "and angling finis"),
    "972/972.txt": ("the devils dictionary by ambrose bierce authors preface", "sheds its horn every two years"),
    "972/old/dvldc10.txt": (
        "the devils dictionary by ambrose bierce authors preface",
        "sheds its horn every two years",
    ),
}


@pytest.mark.real
def test_real_editions_begin_and_end_where_the_book_does(corpus_data: Path) -> None:
    editions = [path for path in sorted((corpus_data / "books").rglob("*.txt")) if path.name != "pandp09.txt"]
    assert [str(path.relative_to(corpus_data / "books")) for path in editions] == sorted(_EDGES)
    for path in editions:
        raw = path.read_bytes().decode("utf-8-sig" if path.name.endswith("-0.txt") else "latin-1").replace("\r\n", "\n")
        text = strip(raw).text
        first, last = _EDGES[str(path.relative_to(corpus_data / "books"))]
        words = _words(text)
        assert " ".join(words[: len(first.split())]) == first, path.name
        assert " ".join(words[-len(last.split()) :]) == last, path.name
        assert "gutenberg" not in text.lower(), path.name
        assert "@" not in text[:3_000], path.name
        if path.name == "dvldc10.txt":  # the one with a credit between title and text
            title, _, text = text.partition("AMBROSE BIERCE")
            assert title in raw
            text = text.lstrip("\n")
        assert text.rstrip("\n") in raw, path.name  # one piece, nothing taken from within
