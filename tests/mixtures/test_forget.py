"""Tests the removal of documents from finished shards. Other rows do not change, and the manifest records the
removal.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import mixtures.forget.removal
import mixtures.manifest
from mixtures.find.__main__ import main as find
from mixtures.find.make import make_indexes
from mixtures.find.search import Finder
from mixtures.forget.__main__ import main
from mixtures.forget.removal import finish, forget
from mixtures.inspect.documents import Wanted, documents
from mixtures.loader import Loader, LoaderSettings
from mixtures.manifest import had_fingerprint, read_manifest
from mixtures.notices import MARK
from mixtures.verify.checks import verify
from tokenizer.encode import Encoder

Rows = list[tuple[str, str, int, list[int]]]
WHEN = "2026-11-29T09:00:00+00:00"
SETTINGS = LoaderSettings(seq_len=64, batch_size=2)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(folder: Path, encoder: Encoder) -> dict[str, list[tuple[str, str, int | None, str]]]:
    plain = Encoder.load(encoder.model, bos=False, eos=False)
    return {
        path.name: [(one.source, one.doc_id, one.epoch, one.text) for one in documents(path, plain, Wanted())]
        for path in sorted(folder.rglob("*.arrow"))
    }


def test_only_what_left_is_gone(output: Path, rows: Rows, encoder: Encoder) -> None:
    source, doc_id = next((source, name) for source, name, epoch, _ in rows if epoch)
    before, files = rows_of(output, encoder), files_of(output)
    state = Loader(output, SETTINGS).state_after(3)
    old = read_manifest(output)
    found = forget(output, [doc_id, "held 1", "no such id"], when=WHEN, why="asked for")
    assert found.documents == {(source, doc_id), ("c4", "held 1")}
    after = rows_of(output, encoder)
    assert after == {name: [row for row in one if row[1] not in (doc_id, "held 1")] for name, one in before.items()}
    touched = {path for path in found.shards if path.startswith("shards/")}
    assert 1 <= len(touched) <= 2
    changed = {name for name, data in files_of(output).items() if files.get(name) != data}
    assert changed == {*found.shards, "manifest.json", "forgotten/00001.txt"}
    manifest = read_manifest(output)
    (entry,) = manifest["forgotten"]
    gone = [len(ids) for _, name, _, ids in rows if name == doc_id]
    assert (entry["when"], entry["why"], entry["documents"]) == (WHEN, "asked for", 2)
    assert (entry["rows"], entry["tokens"]) == ({source: len(gone)}, {source: sum(gone)})
    assert entry["validation_rows"] == {"c4": 1}
    ids = (output / entry["ids"]).read_bytes()
    assert ids == b"".join(f"{name}\n".encode() for name in sorted([doc_id, "held 1"]))
    assert hashlib.sha256(ids).hexdigest() == entry["ids_sha256"]
    assert manifest["tokens"] == old["tokens"] - sum(gone)
    assert list(verify(output)) == []
    assert had_fingerprint(manifest, old["fingerprint"])
    assert manifest["fingerprint"] != old["fingerprint"]
    loader = Loader(output, SETTINGS)
    assert sum(batch.input_ids.size for batch in loader) > 0
    with pytest.raises(ValueError, match="of other data"):
        loader.load_state_dict(state)


def test_a_shard_equals_one_that_never_held_the_document(
    output: Path, rows: Rows, make_output: Callable[[Path, Rows], Path], encoder: Encoder
) -> None:
    doc_id = rows[0][1]
    forget(output, [doc_id], when=WHEN)
    kept = rows_of(output, encoder)["train-00000-of-00005.arrow"]
    assert kept
    assert len(kept) == sum(name != doc_id for _, name, _, _ in rows[0::5])
    again = output.parent / "again"
    again.mkdir()
    info = mixtures.forget.removal.shard_infos(read_manifest(output))[0]
    with (again / "shard").open("wb") as sink:
        batches = mixtures.forget.removal._batches(output, info)
        metadata = mixtures.forget.removal._metadata(output, info)
        mixtures.forget.removal.write_shard(
            sink, batches, path=info.path, sources=["books", "c4", "wikipedia"], metadata=metadata
        )
    assert (again / "shard").read_bytes() == (output / info.path).read_bytes()


def test_a_source_can_be_named(output: Path, rows: Rows) -> None:
    source, doc_id, _, _ = rows[0]
    other = "c4" if source != "c4" else "books"
    assert forget(output, [doc_id], source=other, when=WHEN).shards == []
    assert "forgotten" not in read_manifest(output)
    assert forget(output, [doc_id], source=source, when=WHEN).shards


def test_twice_is_two_entries_and_all_of_a_shard_may_go(output: Path, rows: Rows) -> None:
    forget(output, [rows[1][1]], when=WHEN)
    forget(output, [name for _, name, _, _ in rows[0::5]], when=WHEN)
    manifest = read_manifest(output)
    assert [entry["ids"] for entry in manifest["forgotten"]] == ["forgotten/00001.txt", "forgotten/00002.txt"]
    assert (manifest["shards"][0]["rows"], manifest["shards"][0]["tokens"]) == (0, 0)
    assert list(verify(output)) == []
    assert len(list(Loader(output, SETTINGS))) > 0


def test_an_index_that_cannot_be_made_is_told_apart_from_the_removal(
    output: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The documents are removed, although the new index cannot be written. The message must say both."""
    make_indexes(output)
    doc_id = rows[0][1]

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mixtures.find.make.make_indexes", full)
        assert main([str(output), "--id", doc_id]) == 1
    said = capsys.readouterr()
    assert "1 document out:" in said.out
    (line,) = said.err.splitlines()
    assert line.startswith("mixtures.forget: the documents are out, but the index was not made again: ")
    assert "No space left on device; free some space" in line
    assert line.endswith(f"python -m mixtures.find {output} --make-index makes it")
    assert doc_id not in {name for source, name, *_ in everything(output)}
    assert find([str(output), "--make-index"]) == 0


@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_removal_that_the_disk_stops_says_what_is_left(
    output: Path, rows: Rows, moment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    doc_id, files = rows[0][1], files_of(output)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    name = "write_shard" if moment == "before" else "add_notice"
    with monkeypatch.context() as patched:
        patched.setattr(f"mixtures.forget.removal.{name}", full)
        assert main([str(output), "--id", doc_id]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"mixtures.forget: {output}: No space left on device; free some space")
    if moment == "before":
        assert line.endswith("; no document was removed\n")
        assert files_of(output) == files
        return
    assert line.endswith(f"; the removal is begun: python -m mixtures.forget {output}, without --id, finishes it\n")
    assert main([str(output)]) == 0
    assert capsys.readouterr().out == f"{output}: the removal that was begun is finished\n"
    assert doc_id not in {name for source, name, *_ in everything(output)}


def test_a_source_that_the_output_does_not_have(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(output), "--id", "x", "--source", "boks"]) == 2
    assert "--source: 'boks' is not a source of" in (said := capsys.readouterr().err)
    assert "did you mean books?" in said


def everything(output: Path) -> list[tuple[str, str]]:
    """Returns (source, id) of every row of the shards."""
    found = []
    for path in sorted(output.rglob("*.arrow")):
        table = pa.ipc.open_file(path).read_all()
        found += zip(table.column("source").to_pylist(), table.column("doc_id").to_pylist(), strict=True)
    return found


def test_the_index_follows(output: Path, rows: Rows, encoder: Encoder, capsys: pytest.CaptureFixture[str]) -> None:
    make_indexes(output)
    text = encoder.decode(rows[4][3])[50:100]
    hits = list(Finder(output).text(text))
    assert hits
    assert main([str(output), *(arg for hit in hits for arg in ("--id", hit.doc_id))]) == 0
    assert " out: " in capsys.readouterr().out
    assert list(Finder(output).text(text)) == []
    assert main([str(output), "--id", hits[0].doc_id]) == 1
    assert "no shard holds" in capsys.readouterr().err


def test_a_killed_command_is_finished_by_the_next(output: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    replaced = 0
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal replaced
        if self.name.endswith(".forget"):
            replaced += 1
            if replaced == 2:
                raise Killed
        return original(self, target)

    whole = output.parent / "whole"
    whole.mkdir()
    for name, data in files_of(output).items():
        (whole / name).parent.mkdir(parents=True, exist_ok=True)
        (whole / name).write_bytes(data)
    ids = [name for _, name, _, _ in rows[:6]]
    forget(whole, ids, when=WHEN)
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Killed):
        forget(output, ids, when=WHEN)
    monkeypatch.setattr(Path, "replace", original)
    assert list(verify(output))
    assert finish(output)
    assert list(verify(output)) == []
    assert files_of(output) == files_of(whole)


def test_nothing_is_left_of_one_that_fails(output: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(output)

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "shard")

    monkeypatch.setattr(mixtures.forget.removal, "write_shard", broken)
    assert main([str(output), "--id", rows[0][1]]) == 1
    assert files_of(output) == before


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "give the documents to forget"),
        (["--ids", "/dev/null"], "give the documents to forget with --id or --ids; /dev/null is empty"),
        (["--ids", "absent.txt"], "absent.txt: No such file"),
    ],
)
def test_a_wrong_request_is_one_line(
    output: Path, args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(output), *args]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_harmed_shard_is_not_written_again(output: Path, rows: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    path = output / "shards/train-00000-of-00005.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert main([str(output), "--id", rows[0][1]]) == 2
    assert "checksum" in capsys.readouterr().err or "damaged" in capsys.readouterr().err
    assert path.read_bytes() == bytes(data)
    assert json.loads((output / "manifest.json").read_text()).get("forgotten") is None


def test_the_card_and_the_report_say_that_they_are_older(output: Path, rows: Rows) -> None:
    (output / "report").mkdir()
    (output / "README.md").write_text(f"# A mixture\n\n{MARK}\n\n7 tokens\n")
    (output / "report" / "index.html").write_text(f"<main>\n{MARK}\n<p>7 tokens</p></main>")
    source, doc_id = next((source, name) for source, name, epoch, _ in rows if epoch)
    forget(output, [doc_id], when=WHEN, why="<b>asked</b> for")
    card, page = (output / "README.md").read_text(), (output / "report" / "index.html").read_text()
    tokens = read_manifest(output)["forgotten"][0]["tokens"][source]
    for text in (card, page):
        assert f"1 document with {tokens:,} tokens left the shards on 2026-11-29" in text
        assert "7 tokens" in text, "the rest stays"
    assert "<b>asked" not in page
    assert "&lt;b&gt;asked&lt;/b&gt; for" in page
    assert card.index("Note.") < card.index("7 tokens")
    assert page.count("left the shards") == 1
    forget(output, [next(name for _, name, epoch, _ in rows if epoch is not None and name != doc_id)], when=WHEN)
    assert (output / "README.md").read_text().count("left the shards") == 2


def test_a_killed_removal_gets_its_notice_once(output: Path, rows: Rows) -> None:
    (output / "README.md").write_text(f"# A mixture\n{MARK}\n")
    forget(output, [rows[0][1]], when=WHEN)
    manifest = (output / "manifest.json").read_text()
    (output / mixtures.manifest.NEW_MANIFEST).write_text(json.dumps({"renames": [], "manifest": json.loads(manifest)}))
    assert finish(output)
    assert (output / "README.md").read_text().count("left the shards") == 1


def child(code: str, *args: str) -> subprocess.Popen[str]:
    """Starts a process that runs Python code. Its input and output are pipes."""
    command = [sys.executable, "-c", textwrap.dedent(code), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


LOCKING = """
    import sys
    from pathlib import Path
    from mixtures.folder_lock import only_writer
    with only_writer(Path(sys.argv[1])):
        print("locked", flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("has_work", [True, False])
def test_a_second_command_waits_for_its_turn(
    output: Path, rows: Rows, has_work: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if has_work:
        (output / ".work").mkdir()
        (output / ".work/lock").touch()
    before = files_of(output)
    holder = child(LOCKING, str(output))
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        for command in (
            lambda: main([str(output), "--id", rows[0][1]]),
            lambda: main([str(output)]),
            lambda: find([str(output), "--make-index", "--workers", "1"]),
        ):
            assert command() == 2
            said = capsys.readouterr().err
            assert f"{output}: mixtures.forget or mixtures.find --make-index is at work in it" in said
            assert said.count("\n") == 1
        assert files_of(output) == before
    finally:
        holder.kill()
        holder.wait()
    assert main([str(output), "--id", rows[0][1]]) == 0


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_a_run_in_the_folder_is_not_disturbed(
    output: Path, rows: Rows, kind: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run locks .work/lock. The lock is exclusive if the run writes into the folder, and shared if it reads it
    (--from).
    """
    (output / ".work").mkdir()
    with (output / ".work/lock").open("w") as lock:
        fcntl.flock(lock, kind)
        assert main([str(output), "--id", rows[0][1]]) == 2
    assert "a run is at work in it; wait for its end" in capsys.readouterr().err
    assert main([str(output), "--id", rows[0][1]]) == 0


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from mixtures.forget import removal
    left = int(sys.argv[2])
    def counted(function):
        def call(*args, **kwargs):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        return call
    Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)
    removal.write_shard, removal._write_whole = counted(removal.write_shard), counted(removal._write_whole)
    removal.forget(sys.argv[1], sys.argv[3:], when="2026-11-29T09:00:00+00:00")
    print("whole")
"""


@pytest.mark.slow
def test_a_command_that_is_killed_anywhere_is_done_by_the_next(output: Path, rows: Rows) -> None:
    """If the command is killed before the new shards are complete, nothing has changed. If it is killed later, the next
    command finishes its work.
    """
    ids = [name for _, name, _, _ in rows[:6]]
    whole = output.parent / "whole"
    shutil.copytree(output, whole)
    forget(whole, ids, when=WHEN)
    wanted, states = files_of(whole), set()
    for steps in range(40):
        trial = output.parent / f"trial {steps}"
        shutil.copytree(output, trial)
        process = child(KILLED, str(trial), str(steps), *ids)
        is_whole = process.communicate()[0] == "whole\n"
        is_begun = (trial / mixtures.manifest.NEW_MANIFEST).is_file()
        states.add((is_whole, is_begun))
        if not is_whole and not is_begun:
            manifest = (trial / "manifest.json").read_bytes()
            assert manifest in ((output / "manifest.json").read_bytes(), wanted["manifest.json"])
            assert all(".forget is not in the manifest" in line for line in verify(trial))
        if is_begun:
            assert main([str(trial)]) == 0
        else:
            forget(trial, ids, when=WHEN)
        assert files_of(trial) == wanted, steps
        if is_whole:
            break
        shutil.rmtree(trial)
    assert states == {(False, False), (False, True), (True, False)}
