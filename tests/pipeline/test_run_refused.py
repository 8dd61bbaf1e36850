"""Tests which requests a run refuses, and how it ends if its input or a worker has a fault."""

from __future__ import annotations

import fcntl
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from small import CONFIG, Small, prose, shard_sums

from pipeline.run import main
from pipeline.sources import SOURCES
from tokenizer.train.training import TrainSettings, train


def test_a_worker_s_error_is_ours_and_is_told_with_its_cause(
    small: Small, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """An error in a worker is a fault of the program, even if it is a ValueError. The message must not blame the user's
    request.
    """
    (step,) = [s for s in SOURCES["books"].steps if s.NAME == "book_quality"]

    def broken(*_: Any) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(type(step), "apply", broken)
    monkeypatch.setattr(type(step), "DATA_VERSION", 77)
    assert small.run(out) == 1
    assert "error: job clean failed: no such thing" in capsys.readouterr().err
    assert not (out / "manifest.json").exists()
    assert not (out / "stats" / "books.json").exists()


def test_too_many_bad_records_stop_the_run(small: Small, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    with gzip.open(folder / "c4-train.json.gz", "wt") as file:
        file.write("{not json\n" * 30 + json.dumps({"url": "u", "timestamp": "", "text": prose("x", 90)}) + "\n")
    (tmp_path / "run.yaml").write_text(CONFIG + "run: {max_bad_records: 29, max_bad_share: 0.5}\n")
    args = [f"--config={tmp_path}/run.yaml", f"--input=c4={folder}", "--phase=clean", f"--output={tmp_path}/out"]
    assert main(args) == 1
    said = capsys.readouterr().err
    assert "c4: 30 of 31 records are bad, more than run.max_bad_records and run.max_bad_share allow" in said
    assert said.count("c4-train.json.gz:") == 5, "the first places"
    assert "Traceback" not in said
    (tmp_path / "run.yaml").write_text(CONFIG + "run: {max_bad_records: 30, max_bad_share: 0.5}\n")
    assert main(args) == 0


def test_a_folder_of_somebody_else_is_not_written_to(small: Small, tmp_path: Path, capsys: Any) -> None:
    mine = tmp_path / "README.md"
    mine.write_text("mine")
    assert small.run(tmp_path) == 2
    assert "the folder holds files that no run wrote" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md"]
    assert mine.read_text() == "mine"


REFUSED = [
    ("--input=books={root}/books", "for which there is no input", 0),
    ("--input=books={root}/books", "for which there is no input", 1),
    ("--tokenizer={root}/config.yaml", "is not a", 0),
    ("--exclude={tmp}/e.txt", "not UTF-8 text", 0),
    ("--phase=mix", "there are no finished clean documents", 0),
    ("--direct_num_workers=10000", "memory: 10000 worker processes", 0),
]


@pytest.mark.parametrize(("flag", "said", "existed"), REFUSED)
def test_a_refused_request_leaves_nothing(
    flag: str, said: str, existed: int, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A refused request leaves no file or folder, even if its fault is found late, when the output folder is already
    locked.
    """
    monkeypatch.setattr("pipeline.preflight.places.check_places", lambda request: None)
    (tmp_path / "e.txt").write_bytes(b"\xff\xfe\x00e")
    out = tmp_path / "a" / "b" / "out"
    if existed:
        out.mkdir(parents=True)
    flag = flag.format(root=small.root, tmp=tmp_path)
    given = [a for a in small.args(out, flag) if flag.partition("=")[0] not in a or a == flag]
    assert main(given) == 2
    assert said in capsys.readouterr().err
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert found == (["a", "a/b", "a/b/out"] if existed else []) + ["e.txt"]


def test_a_refused_request_leaves_an_earlier_output_as_it_was(small: Small, out: Path, capsys: Any) -> None:
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert small.run(out, "--tokens=99999999999") == 2
    shutil.rmtree(out / ".work")
    assert small.run(out, f"--tokenizer={small.root}/config.yaml") == 2
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert after == {path: data for path, data in before.items() if ".work" not in path.parts}


def test_mixing_before_anything_is_clean(small: Small, tmp_path: Path, capsys: Any) -> None:
    assert small.run(tmp_path / "new", "--phase=mix") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "there are no finished clean documents" in line


def test_only_one_run_at_a_time(small: Small, out: Path, capsys: Any) -> None:
    (out / ".work").mkdir(exist_ok=True)
    with (out / ".work" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert small.run(out) == 2
    assert "another run writes to it" in capsys.readouterr().err
    assert small.run(out) == 0


def test_a_source_that_the_mixture_needs_and_nobody_gives(small: Small, tmp_path: Path, capsys: Any) -> None:
    """The missing input is reported before the run spends hours on cleaning."""
    assert small.run(tmp_path / "out", f"--input=c4={small.root}/c4") == 2
    assert "gives a weight to books, for which there is no input: add --input books=GLOB" in capsys.readouterr().err
    assert not (tmp_path / "out" / "clean").exists()


@pytest.mark.parametrize(
    ("name", "data", "flag", "said"),
    [
        ("t.model", b"not a model", "--tokenizer", "is not a SentencePiece model"),
        ("e.txt", b"\xff\xfe\x00e", "--exclude", "not UTF-8 text, at byte 0"),
    ],
)
def test_files_that_are_not_what_they_should_be(
    name: str, data: bytes, flag: str, said: str, small: Small, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / name).write_bytes(data)
    assert small.run(tmp_path / "out", f"{flag}={tmp_path / name}") == 2
    line = capsys.readouterr().err
    assert said in line
    assert str(tmp_path / name) in line
    assert line.count("\n") == 1
    assert not (tmp_path / "out" / "clean").exists()


@pytest.mark.parametrize("name", ["o[1]", "o*", "what?"])
def test_an_output_whose_name_is_a_pattern(small: Small, tmp_path: Path, name: str, capsys: Any) -> None:
    """The name of the output contains ``*``, ``?`` or ``[``. A listing of such a folder would find files of other
    folders, or no files. So the run could not know which parts are finished.
    """
    out = tmp_path / name
    assert small.run(out) == 2
    assert capsys.readouterr().err == (
        f"error: --output {out}: '*', '?' and '[' stand for patterns; name a folder without them\n"
    )
    assert not out.exists()


def test_an_output_whose_work_was_deleted_is_started_over(small: Small, out: Path, capsys: Any) -> None:
    sums = shard_sums(out)
    shutil.rmtree(out / ".work")
    for name in ("dedup", "decontamination", "forgotten", "index"):  # what other settings and commands write
        (out / name).mkdir()
    assert small.run(out) == 0
    assert shard_sums(out) == sums
    shutil.rmtree(out / ".work")
    (out / "mine.txt").write_text("not a run's")
    capsys.readouterr()
    assert small.run(out) == 2
    assert "the folder holds files that no run wrote (mine.txt)" in capsys.readouterr().err
    assert (out / "mine.txt").exists()


def test_an_input_that_vanishes_is_one_line(small: Small, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    books = tmp_path / "books"
    shutil.copytree(small.root / "books", books)
    from pipeline.clean import phase

    before = phase.pending_jobs
    monkeypatch.setattr(phase, "pending_jobs", lambda *a, **k: [before(*a, **k), (books / "book0.txt").unlink()][0])
    args = small.args(tmp_path / "out", f"--input=books={books}", "--phase=clean")
    assert main(args) == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "book0.txt cannot be read (No such file or directory), though it could when the run started" in said


def test_a_source_of_which_nothing_is_left_is_told_with_its_own_numbers(
    small: Small, tmp_path: Path, capsys: Any
) -> None:
    """The run stops before it counts tokens, so the printed table has none. It still writes the report, which shows why
    the source is empty.
    """
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("min_num_words: 50", "min_num_words: 500000"))
    out = tmp_path / "out"
    args = [f"--config={config}", *small.inputs(), f"--output={out}", "--direct_num_workers=1"]
    assert main(args) == 2
    lines = capsys.readouterr().err.splitlines()
    at = lines.index("error: the mixture cannot be made")
    stats = {s: json.loads((out / "stats" / f"{s}.json").read_text()) for s in ("c4", "books")}
    assert lines[at + 1].split() == ["source", "weight", "%", "documents", "in", "kept", "bytes", "of", "text"]
    assert [line.split() for line in lines[at + 2 : at + 4]] == [
        ["c4", "60", "46", "45", f"{stats['c4']['bytes']['kept']:,}"], ["books", "40", "6", "0", "0"]
    ]  # fmt: skip
    assert lines[at + 4] == "books: all 6 documents were dropped, most of them by book_quality (too_few_words)"
    assert lines[at + 5].startswith("give other input for books, change the settings of that step")
    assert f"report: {out}/report/index.html" in lines
    assert "books kept none of its 6 documents." in (out / "report" / "index.html").read_text()
    assert main([*args, f"--tokenizer={_tokenizer(tmp_path)}"]) == 2
    said = capsys.readouterr().err
    assert "available tokens" in said, "with a tokenizer the tokens are counted"
    assert "books has a weight but no tokens" in said


def _tokenizer(folder: Path) -> Path:
    model = train([prose("own", 3000)], None, TrainSettings(vocab_size=300, lower_vocab_size=True)).model
    (folder / "own.model").write_bytes(model)
    return folder / "own.model"
