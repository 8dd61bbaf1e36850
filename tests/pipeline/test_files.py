"""Tests files that are written completely or not at all, and byte strings in spill files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.files import files as f
from pipeline.files.checked import DamagedFile
from pipeline.files.spill import BlobReader, SpillFile, blob_bytes, blob_from, read_range


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with f.written_whole(str(path)) as sink:
        sink.write(b"half")
        assert not path.exists()
        sink.write(b", whole")
    assert path.read_bytes() == b"half, whole"
    assert names(tmp_path) == ["deep", "deep/file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_broke_off_leaves_the_older_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"older")

    def break_off() -> None:
        with f.written_whole(str(path)) as sink:
            sink.write(b"new")
            raise error

    with pytest.raises(error):
        break_off()
    assert path.read_bytes() == b"older"
    assert names(tmp_path) == ["file"]


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    f.write_bytes(path, b"one")
    f.write_bytes(path, b"two")
    assert f.read_bytes(path) == b"two"


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    """An engine may process the same elements twice at the same time. The file is then complete, from one of the two
    writers.
    """
    path = str(tmp_path / "file")
    with f.written_whole(path) as one, f.written_whole(path) as two:
        one.write(b"one")
        two.write(b"two")
    assert f.read_bytes(path) == b"one"
    assert names(tmp_path) == ["file"]


def test_deleting(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("x")
    (tmp_path / "d").write_text("x")
    f.delete_tree(str(tmp_path / "none"))
    f.delete_tree(str(tmp_path / "d"))
    assert names(tmp_path) == ["a", "a/b", "a/b/c"]
    f.delete_tree(str(tmp_path / "a"))
    assert names(tmp_path) == []


def test_deleting_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    """``clean`` may be a link to a folder on another disk."""
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "keep").write_text("x")
    (tmp_path / "link").symlink_to(other)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    f.delete_tree(str(tmp_path / "link"))
    f.delete_tree(str(tmp_path / "broken"))
    assert names(tmp_path) == ["other", "other/keep", "other/sub"]


PIECES = st.lists(st.binary(max_size=50), max_size=12)


@given(PIECES, PIECES)
def test_blobs_are_read_back(tmp_path_factory: pytest.TempPathFactory, first: list[bytes], second: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("spill")
    spill = SpillFile(str(folder))
    blobs = [spill.append(data) for data in first]
    spill.close()
    again = [spill.append(data) for data in second]  # goes on in a file of its own
    spill.close()
    spill.close()
    assert [b.read() for b in blobs] == first
    assert [b.read() for b in again] == second
    assert len(names(folder)) == bool(first) + bool(second), "nothing spilled, no file"
    for blob in (*blobs, *again):
        assert blob_from(blob_bytes(blob)) == blob


def test_a_cut_spill_file_is_noticed(tmp_path: Path) -> None:
    spill = SpillFile(str(tmp_path))
    blob = spill.append(b"0123456789")
    spill.close()
    os.truncate(blob.path, 9)
    with pytest.raises(DamagedFile, match="9 of 10 bytes"):
        blob.read()
    assert read_range(blob.path, 2, 5) == b"234"


@given(PIECES, PIECES)
def test_a_reader_reads_blobs_of_many_files(
    tmp_path_factory: pytest.TempPathFactory, first: list[bytes], second: list[bytes]
) -> None:
    spill = SpillFile(str(tmp_path_factory.mktemp("spill")))
    blobs = []
    for data in (*first, *second):
        blobs.append(spill.append(data))
        spill.close()  # a file per blob
    with BlobReader(max_files=2) as reader:
        assert [reader.read(blob_bytes(blob)) for blob in (*blobs, *blobs)] == 2 * [*first, *second]


def test_a_reader_notices_damage(tmp_path: Path) -> None:
    spill = SpillFile(str(tmp_path))
    cut, changed = spill.append(b"0123456789"), SpillFile(str(tmp_path)).append(b"abc")
    spill.close()
    os.truncate(cut.path, 9)
    Path(changed.path).write_bytes(b"abd")
    with BlobReader() as reader:
        with pytest.raises(DamagedFile, match="9 of 10 bytes"):
            reader.read(blob_bytes(cut))
        with pytest.raises(DamagedFile, match="were changed"):
            reader.read(blob_bytes(changed))


def test_what_is_local(tmp_path: Path) -> None:
    assert f.is_local(str(tmp_path))
    assert f.is_local("relative/file")
    assert not any(map(f.is_local, ("gs://b/f", "s3://b/f", "https://h/f")))


def test_a_name_without_a_folder_is_written_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    f.write_bytes("file", b"x")
    assert f.exists("file")
    assert f.read_bytes("file") == b"x"
