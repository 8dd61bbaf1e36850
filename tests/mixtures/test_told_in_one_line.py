"""Tests that every command under ``mixtures/`` prints one line for a misspelt folder and for an error of the disk, and
that it ends with the right status.
"""

from __future__ import annotations

import errno
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS: dict[str, tuple[list[str], str]] = {
    "decontaminate": (["{out}", "--sets", "{sets}"], "mixtures.decontaminate.certificate.certify"),
    "export": (["{out}", "{out}/to", "--format", "mds"], "mixtures.export.layouts.export"),
    "find": (["{out}", "--id", "x"], ""),  # tests/mixtures/test_find.py has the errors of its disk
    "forget": (["{out}", "--id", "x"], "mixtures.forget.removal.forget"),
    "inspect": (["{out}"], "mixtures.inspect.files.files_of"),
    "plan": (["--stats", "{out}"], "mixtures.plan.__main__.read_stats"),
    "shares": (["{out}"], "mixtures.shares.measure.shares"),
    "verify": (["{out}"], "mixtures.verify.checks.verify"),
}
"""The arguments of each command, and the function that reads or writes its files."""


def said(name: str, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    sets = out.parent / "sets.yaml"
    (out.parent / "items.jsonl").write_text('{"q": "what is the answer to this question about everything"}\n')
    sets.write_text(f"sets: [{{name: mine, path: {out.parent}/items.jsonl, question: q}}]\n")
    args = [arg.replace("{out}", str(out)).replace("{sets}", str(sets)) for arg in COMMANDS[name][0]]
    status: int = import_module(f"mixtures.{name}.__main__").main(args)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"mixtures.{name}: ")
    return status, captured.err


def test_every_command_is_here() -> None:
    assert {path.parent.name for path in (ROOT / "mixtures").glob("*/__main__.py")} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_misspelt_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, line = said(name, tmp_path / "mistyped", capsys)
    assert status == 2
    assert f"{tmp_path}/mistyped: there is no such folder" in line or "mistyped is not there" in line
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", [name for name, (_, function) in COMMANDS.items() if function])
def test_an_error_of_the_disk(
    name: str, number: int, output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number), str(output / "there"))

    monkeypatch.chdir(output.parent)
    monkeypatch.setattr(COMMANDS[name][1], broken)
    status, line = said(name, output, capsys)
    assert status == (2 if number == errno.EACCES else 1)
    assert f"{output}/there: {os.strerror(number)}; " in line
