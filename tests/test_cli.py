"""Tests the command ``llama-mixture``: its subcommands, fast answers, completion and exit statuses."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import COMMANDS, main
from tests.make_beam_flags import FILE, text
from tokenizer import program

ROOT = Path(__file__).parents[1]
CLI = [sys.executable, "-m", "pipeline.cli"]


@pytest.fixture(autouse=True)
def names_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resets the stored names of commands after each test, because other tests read the help texts of the same
    commands.
    """
    monkeypatch.setattr(program, "_called_as", {})


def run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(words), capture_output=True, text=True, timeout=120, cwd=ROOT, **more)


def test_every_command_of_the_project_has_a_name() -> None:
    """Every file that runs a main function through ``as_command`` is a subcommand."""
    files = [p for folder in ("pipeline", "mixtures", "tokenizer") for p in (ROOT / folder).rglob("*.py")]
    found = {
        p for p in files if re.search(r"as_command\(main", p.read_text()) and p.name not in ("cli.py", "interrupts.py")
    }
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__") for p in found}
    assert modules == {command.module for command in COMMANDS.values()}
    assert len(modules) >= 14


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_the_name_that_was_typed(name: str) -> None:
    done = run(*CLI, *name.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: llama-mixture {name} "), done.stdout[:80]


def test_the_list_of_commands_and_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name}  " in said for name in (*COMMANDS, "completion"))
    assert main([]) == 2
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("llama-mixture ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inspct", "out"], "'inspct' is not a command; did you mean inspect?"),
        (["tokenizer", "trian"], "'tokenizer trian' is not a command; did you mean tokenizer train?"),
        (["zzz"], "there are: run, estimate,"),
        (["completion", "fish"], "completion bash|zsh|tcsh: name the shell"),
        (["run", "--outptu=x"], "did you mean --output?"),
        (["run", "--dry-rn"], "did you mean --dry-run?"),
        (["estimate", "--phase=mix"], "--phase=mix has none"),
    ],
)
def test_a_wrong_request(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def cpu_seconds(*words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


LARGE = {
    "numpy", "pyarrow", "apache_beam", "sentencepiece", "tokenizers", "tiktoken", "gigatoken", "matplotlib", "torch",
    "transformers", "datasets", "pandas",
}  # fmt: skip
"""Libraries that take between a tenth of a second and several seconds to import."""
ANSWERED_AT_ONCE = [
    *([*name.split(), flag] for name in COMMANDS for flag in ("--help", "--nope")),
    ["run", "--version"], ["run", "--outptu=x"], ["run", "--tokens=x"], ["models", "train-lm"], ["job-service", "x"],
    ["tokenizer", "train", "--input=nowhere/*.txt", "--output=x"], ["tokenizer", "train", "--vocab-size=x"],
    ["plan", "--tokens=x"], ["plan", "--json"], ["inspect", "x", "--step=1"], ["inspect", "x", "-n", "0"],
    ["find", "x"], ["find", "x", "y", "-n", "-1"], ["shares", "x", "--first=2"], ["export", "x", "y", "--format=x"],
    ["decontaminate", "x", "--sets=y", "--workers=0"], ["report", "x", "y", "z"],
    ["run", "--config=nowhere.yaml"], ["run", "--config=lama"], ["run", "--config={config}"], ["run", "--sources=boks"],
    ["run", "--input=boks=x"], ["run", "--input=books=nowhere/*.txt"],
    ["run", "--input=books=setup.py", "--output={output}/new"],
    ["run", "--input=c4=x", "--models=nowhere"], ["run", "--tokenizer=nowhere"], ["run", "--output=tests"],
    ["run", "--phase=mix", "--from=nowhere"], ["run", "--phase=mix", "--output=nowhere"], ["run", "--reuse=nowhere"],
    ["estimate", "--input=books=nowhere/*"], ["explain", "boks"], ["report", "nowhere"], ["report", "tests"],
    ["report", "nowhere", "nowhere"], ["report", "{output}", "--set=boks.x=1"], ["report", "{output}", "--set=x"],
]  # fmt: skip
"""Requests that can be answered without data."""


LOADED_AT_EXIT = """
import atexit, runpy, sys
atexit.register(lambda: print("LOADED", *sys.modules, file=sys.stderr))
if sys.argv[1].endswith(".py"):
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
runpy.run_module("pipeline.cli", run_name="__main__", alter_sys=True)
"""


def loaded(*words: str) -> tuple[int, set[str]]:
    """Runs a command, or a script, in a new process. Returns its exit status, and the names of the imported modules."""
    done = run(sys.executable, "-c", LOADED_AT_EXIT, *words)
    mark, *modules = done.stderr.splitlines()[-1].split()
    assert mark == "LOADED", done.stderr
    return done.returncode, set(modules)


@pytest.mark.parametrize("words", ANSWERED_AT_ONCE, ids=" ".join)
def test_flags_are_answered_before_anything_large_is_imported(words: list[str], tmp_path: Path) -> None:
    """Importing Beam takes two seconds, and pyarrow or NumPy a few tenths of a second. An answer about flags needs none
    of them.
    """
    (tmp_path / "stats").mkdir()
    (tmp_path / "stats" / "books.json").write_text("{}")
    (tmp_path / "weights.yaml").write_text("mixture: {weights: {books: 60, arxiv: 50}}")
    status, modules = loaded(*(word.format(output=tmp_path, config=tmp_path / "weights.yaml") for word in words))
    assert status == (0 if words[-1] in ("--help", "--version") else 2)
    command = next(c for name, c in COMMANDS.items() if words[: len(name.split())] == name.split())
    assert (f"{command.module}.{command.file}" if command.file else command.module) in modules
    assert sorted(LARGE & modules) == []


@pytest.mark.parametrize("text", ["sources: {books: {nea_dedup: {}}}", "run: {sample_doc: 1}", "dedup: {across: [x]}"])
def test_settings_are_refused_before_beam_is_imported(text: str, tmp_path: Path) -> None:
    """Wrong settings of sources and steps are reported before Beam is imported. To check them, NumPy and pyarrow are
    needed.
    """
    (tmp_path / "run.yaml").write_text(f"recipe: llama\n{text}\nmixture: {{missing: share}}\n")
    status, modules = loaded("run", f"--config={tmp_path}/run.yaml", "--input=books=setup.py")
    assert (status, "pyarrow" in modules, "apache_beam" in modules) == (2, True, False)


@pytest.mark.parametrize(("flag", "status"), [("--help", 0), ("--nope", 2)])
def test_the_example_of_a_training_answers_without_torch(flag: str, status: int) -> None:
    found, modules = loaded("examples/train.py", flag)
    assert found == status
    assert "mixtures.loader_settings" in modules
    assert sorted(LARGE & modules) == []


def test_a_large_import_is_seen() -> None:
    """A request that needs data imports the libraries. This shows that the tests above would notice such an import."""
    status, modules = loaded("verify", "nowhere")
    assert status == 2
    assert {"numpy", "pyarrow"} <= modules


def test_an_answer_takes_little_time() -> None:
    """The time of an answer is compared with that of an empty Python program (0.04 s), because the machine may be
    busy.
    """
    alone = min(cpu_seconds(sys.executable, "-c", "pass")[0] for _ in range(3))
    for words in (["run", "--help"], ["run", "--outptu=x"]):
        took, done = min((cpu_seconds(*CLI, *words) for _ in range(3)), key=lambda one: one[0])
        assert done.returncode in (0, 2)
        assert took < 12 * alone, (took, alone)


def test_the_list_of_beam_s_flags_is_that_of_the_installed_beam() -> None:
    assert text() == FILE.read_text(), "run `make golden`"
    assert text().count("--") > 150


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_is_a_script_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    done = run(*CLI, "completion", shell)
    assert done.returncode == 0, done.stderr
    for word in ("decontaminate", "--continue-from", "train-reference", "--vocab-size", "--dry-run"):
        assert word in done.stdout
    script = tmp_path / "script"
    script.write_text(done.stdout)
    if shutil.which(shell):
        assert run(shell, "-n", str(script)).returncode == 0
    if shell == "bash":
        asked = (
            f"source {script}; COMP_WORDS=(llama-mixture dec); COMP_CWORD=1; COMP_LINE='llama-mixture dec'; "
            "f=$(complete -p llama-mixture | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f; echo ${COMPREPLY[@]}"
        )
        assert run("bash", "-c", asked).stdout.split() == ["decontaminate"]


def test_a_log_file_has_what_was_said(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    flags = ["--log-file", str(log), "--phase=clean", "--input=books=nowhere/*.txt", "--output", str(tmp_path / "out")]
    done = run(*CLI, "run", *flags)
    assert done.returncode == 2
    (line,) = log.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ERROR books: nothing matches 'nowhere/\*.txt'.*", line)
    done = run(*CLI, "run", "--log-file", str(tmp_path / "no" / "run.log"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize("flag", ["--dry-run", "--dry_run"])
def test_a_dry_run_starts_nothing(flag: str, tmp_path: Path) -> None:
    """Beam also has a flag ``--dry_run``. A local run would ignore it, so it must not be passed on to Beam."""
    (tmp_path / "book.txt").write_text("The tide rises and the tide falls. " * 400)
    out = tmp_path / "out"
    done = run(*CLI, "run", flag, f"--input=books={tmp_path}/book.txt", f"--output={out}")
    assert done.returncode == 0, done.stderr
    assert "books" in done.stdout
    assert not out.exists()


def test_the_console_command_is_declared() -> None:
    assert 'console_scripts": ["llama-mixture = pipeline.cli:run_command"]' in (ROOT / "setup.py").read_text()


def test_the_process_ends_with_the_status_of_its_command(tmp_path: Path) -> None:
    assert run(*CLI, "verify", str(tmp_path), env={**os.environ}).returncode == 2
    assert run(*CLI, "plan", "--tokens", "100M").returncode == 0


def test_json_is_for_scripts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stats = tmp_path / "stats"
    stats.mkdir()
    for source, tokens in (("c4", 9_000), ("books", 300)):
        (stats / f"{source}.json").write_text(json.dumps({"tokens": tokens, "documents": {"kept": 3}}))
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nmixture: {weights: {c4: 60, books: 40}, tokens: 1M, max_epochs: 1}\n")
    assert main(["plan", "--config", str(recipe), "--stats", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["tokens"], said["asked_tokens"], said["limited_by"]) == (751, 1_000_000, "books")
    assert said["sources"]["books"]["tokens"] == 300
