"""Tests paging through documents: the keys that a user types, and what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mixtures.inspect.__main__ import main
from mixtures.inspect.documents import ShownDocument, Wanted
from mixtures.inspect.pager import Pager

LONG = "\n".join(f"line {n}" for n in range(25))
DOCUMENTS = [
    ("c4", "a", 0, "First text."),
    ("books", "b", 0, LONG),
    ("books", "b", 1, LONG),
    ("c4", "c", 0, "Last Text with \x1b[31m."),
]


def find(wanted: Wanted) -> Iterator[ShownDocument]:
    for row, (source, doc_id, epoch, text) in enumerate(DOCUMENTS):
        if wanted.source in (None, source) and wanted.epoch in (None, epoch) and wanted.is_in(text):
            yield ShownDocument(
                shard="s", row=row, source=source, doc_id=doc_id, epoch=epoch, num_tokens=3, is_cut=False, text=text
            )


def said(*typed: str, wanted: Wanted | None = None) -> list[str]:
    lines: list[str] = []
    answers = iter(typed)

    def ask(prompt: str) -> str:
        lines.append(prompt)
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    Pager(find, wanted or Wanted(), say=lines.append, size=(80, 13)).run(ask)
    return lines


def heads(lines: list[str]) -> list[str]:
    return [f"{x.split()[2]}{x.split('epoch ')[1][0]} {x.split('page ')[1]}" for x in lines if x.startswith("=== ")]


def test_enter_turns_the_page_and_then_the_document() -> None:
    assert heads(said("", "", "", "")) == ["a0 1 of 1", "b0 1 of 3", "b0 2 of 3", "b0 3 of 3", "b1 1 of 3"]


def test_to_and_fro() -> None:
    lines = said("n", "n", "p", "p", "p", "n")
    assert heads(lines) == ["a0 1 of 1", "b0 1 of 3", "b1 1 of 3", "b0 1 of 3", "a0 1 of 1", "b0 1 of 3"]
    assert "this is the first document that is held" in lines
    assert "no more documents" in said("n", "n", "n", "n")


def test_choosing() -> None:
    lines = said("s books", "e 1", "e", "s", "/TEXT")
    assert heads(lines) == ["a0 1 of 1", "b0 1 of 3", "b1 1 of 3", "b0 1 of 3", "a0 1 of 1", "a0 1 of 1"]
    assert any("First ›text‹." in line for line in lines)
    assert lines[-1] == "[/TEXT; h for help] "
    assert heads(said("/line 24", "n"))[1:] == ["b0 1 of 3", "b1 1 of 3"]


def test_a_choice_that_nothing_matches_leaves_the_old_one() -> None:
    lines = said("s books", "/nowhere", "n")
    assert "no document matches" in lines
    assert heads(lines)[-1] == "b1 1 of 3"
    assert lines[-1] == "[source books; h for help] "


def test_help_and_quit() -> None:
    lines = said("x", "q", "n")
    assert any("next document" in line for line in lines)
    assert heads(lines) == ["a0 1 of 1"]


def test_nothing_to_show() -> None:
    assert "no document matches" in said(wanted=Wanted(source="github"))


def test_what_a_terminal_would_obey_is_spelled() -> None:
    lines = said("/with")
    assert any("\\x1b[31m" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_the_command_pages(output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed = iter(["n", "s books", "q"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    assert main([str(output / "shards"), "--pager"]) == 0
    shown: Callable[[str], list[str]] = str.splitlines
    found = [line for line in shown(capsys.readouterr().out) if line.startswith("=== ")]
    assert len(found) == 3
    assert found[2].startswith("=== books")


def test_letters_of_either_size(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(output / "validation"), "--grep", "HELD OUT, NUMBER 2", "-n", "5"]) == 1
    assert main([str(output / "validation"), "--grep", "HELD OUT, NUMBER 2", "-i", "-n", "5"]) == 0
    assert capsys.readouterr().out.count("=== ") == 1


def test_an_epoch(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(output / "shards"), "--epoch", "1", "-n", "4"]) == 0
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("=== ")]
    assert len(found) == 4
    assert all("epoch 1 " in line for line in found)
