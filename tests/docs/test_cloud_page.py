"""Tests that ``pipeline.run`` accepts the commands of docs/cloud.md as they are written there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipeline.engine.runner import choose_engine
from pipeline.preflight import job_server
from pipeline.preflight.cloud_options import check_options
from pipeline.settings.settings import parse

PAGE = Path(__file__).parents[2] / "docs" / "cloud.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Returns the arguments of every ``python -m pipeline.run`` on the page."""
    found = []
    for block in _BLOCK.findall(PAGE.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:3] == ["python", "-m", "pipeline.run"]:
                found.append(words[3:])
    return found


def runner_of(command: list[str]) -> str:
    return next((w.removeprefix("--runner=") for w in command if w.startswith("--runner=")), "DirectRunner")


def test_the_page_shows_every_engine() -> None:
    shown = {runner_of(command) for command in commands()}
    assert shown >= {"DataflowRunner", "FlinkRunner", "SparkRunner", "PortableRunner"}


@pytest.mark.parametrize("command", commands(), ids=lambda command: runner_of(command))
def test_each_command_is_accepted(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.py").touch()
    (tmp_path / "run.yaml").write_text("inputs:\n  c4: [s3://my-bucket/c4/*.json.gz]\noutput: s3://my-bucket/out\n")
    settings = parse(command)
    engine = choose_engine(settings.beam_args)
    if engine.is_dataflow:  # its checks are in tests/pipeline/test_cloud_options.py
        return
    asked: list[str] = []
    monkeypatch.setattr(job_server, "unanswered", lambda address: asked.append(address) or "")
    monkeypatch.setattr(job_server.shutil, "which", lambda name: f"/usr/bin/{name}")
    check_options(settings, engine)
    assert engine.is_local or asked
