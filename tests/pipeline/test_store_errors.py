"""Tests that an error of a store is reported as such. If a reader mistook a timeout for a damaged file, the file's
documents would be lost.
"""

from __future__ import annotations

import bz2
import copy
import errno
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engine.known_failures import explained
from pipeline.files import store_files
from pipeline.files.checked import DamagedFile
from pipeline.files.parquet_files import parquet_batches
from pipeline.files.store_files import StoreError, open_store
from pipeline.report import run_models
from pipeline.run import main
from pipeline.sources import SOURCES
from pipeline.sources.source import InputFile

ERRORS: tuple[Exception, ...] = (
    TimeoutError("timed out"), ConnectionResetError(104, "Connection reset by peer"), OSError("read timed out"),
    RuntimeError("read timed out"), ValueError("no credentials"), pa.ArrowInvalid("x"),
)  # fmt: skip


class Broken(io.BytesIO):
    """Plays a file that can be read ``whole`` times. Each further read raises ``error``."""

    def __init__(self, data: bytes, error: Exception, *, whole: int) -> None:
        super().__init__(data)
        self._error, self._whole, self._num_read = error, whole, 0

    def read(self, size: int | None = -1) -> bytes:
        self._num_read += 1
        if self._num_read > self._whole:
            raise self._error
        return super().read(size)


@pytest.fixture
def broken() -> Callable[..., Callable[[str], BinaryIO]]:
    def of(error: Exception, whole: int = 0) -> Callable[[str], BinaryIO]:
        return lambda path: open_store(path, lambda: Broken(Path(path).read_bytes(), error, whole=whole))

    return of


@pytest.mark.parametrize("error", ERRORS, ids=lambda one: type(one).__name__)
def test_every_error_while_reading_is_one_of_the_store(error: Exception) -> None:
    file = open_store("gs://b/x", lambda: Broken(b"x" * 200_000, error, whole=1))
    assert file.read(10) == b"x" * 10
    with pytest.raises(StoreError, match=r"^gs://b/x: the store did not answer as it should \(") as raised:
        file.read()
    assert str(error) in str(raised.value)
    assert not isinstance(raised.value, OSError | ValueError), "what readers take for damage"


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    data = bytes(range(256)) * 2000
    file = open_store("gs://b/x", lambda: io.BytesIO(data))
    assert file.read(3) == data[:3]
    assert (file.seek(-5, io.SEEK_END), file.read()) == (len(data) - 5, data[-5:])
    assert (file.seek(7), file.tell(), file.read(2)) == (7, 7, data[7:9])
    file.close()
    pq.write_table(pa.table({"id": ["a", "b"]}), tmp_path / "x.parquet")
    stored = (tmp_path / "x.parquet").read_bytes()
    assert pq.read_table(open_store("gs://b/x", lambda: io.BytesIO(stored))).column("id").to_pylist() == ["a", "b"]


def refused() -> BinaryIO:
    raise ConnectionRefusedError(111, "Connection refused")


def missing() -> BinaryIO:
    raise FileNotFoundError(2, "No such file", "gs://b/x")


def test_opening() -> None:
    with pytest.raises(StoreError, match="Connection refused"):
        open_store("gs://b/x", refused)
    with pytest.raises(FileNotFoundError):
        open_store("gs://b/x", missing)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "c4": ("c4.json.gz", lambda path: path.write_bytes(gzip.compress(b'{"text": "a"}\n' * 9000, 0))),
    "github": ("contents.parquet", lambda path: pq.write_table(
        pa.table({name: [f"{name}{n}" * 9 for n in range(9000)] for name in ("id", "content", "path", "repo_name",
                                                                              "license")}), path, compression="none")),
    "wikipedia": ("enwiki-20190101-pages-articles.xml.bz2", lambda path: path.write_bytes(
        bz2.compress(b"<mediawiki>" + b"x" * 400_000))),
    "books": ("books.jsonl.gz", lambda path: path.write_bytes(gzip.compress(b'{"text": "a"}\n' * 9000, 0))),
}  # fmt: skip


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("whole", [0, 1])
def test_no_reader_takes_it_for_damage(
    source: str, whole: int, tmp_path: Path, broken: Callable[..., Callable[[str], BinaryIO]]
) -> None:
    name, write = FILES[source]
    path = tmp_path / name
    write(path)
    reader = SOURCES[source].reader

    def read_all() -> list[Any]:
        opener = broken(TimeoutError("timed out"), whole)
        units = reader.units([InputFile(str(path), path.stat().st_size)], opener)
        return [one for unit in units for one in reader.read(unit, broken(TimeoutError("timed out"), whole))]

    with pytest.raises(StoreError, match="timed out"):
        read_all()


def test_clean_documents_that_a_store_does_not_give_are_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[..., Callable[[str], BinaryIO]]
) -> None:
    """An error of the store must not count as a damaged file. The advice for a damaged file is to delete it."""
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "part.parquet")
    monkeypatch.setattr("pipeline.files.parquet_files.open_file", broken(TimeoutError("timed out")))
    with pytest.raises(StoreError):
        list(parquet_batches(str(tmp_path / "part.parquet")))


@pytest.mark.parametrize("flags", [["--estimate"], ["--phase=clean", "--direct_num_workers=1"]])
def test_the_command_ends_with_one_line(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    broken: Callable[..., Callable[[str], BinaryIO]],
) -> None:  # fmt: skip
    rows = [{"text": "word " * 200, "url": f"http://a.example/{n}", "timestamp": ""} for n in range(2000)]
    path = tmp_path / "c4-train.00000-of-00001.json.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), 0))
    for module in ("pipeline.estimate.read_unit", "pipeline.clean.passes"):
        monkeypatch.setattr(f"{module}.open_file", broken(TimeoutError("timed out"), 2))
    assert main([f"--input=c4={path}", f"--output={tmp_path}/out", *flags]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert line.endswith(f"{path}: the store did not answer as it should (timed out); run the same command again")


def test_a_worker_s_error_is_explained() -> None:
    error = StoreError("gs://b/x", TimeoutError("timed out"))
    assert explained(RuntimeError(f"pipeline.files.store_files.StoreError: {error} [while running 'x']")) == str(error)
    assert store_files.StoreError is StoreError


class NotFound(Exception):  # noqa: N818 - the name of the class that it stands for
    """Plays ``google.api_core.exceptions.NotFound``, which is not an OSError."""

    code = 404


def test_a_file_that_a_store_lacks_is_a_missing_file() -> None:
    def opener() -> BinaryIO:
        raise NotFound("404 GET https://storage/b/o/x: No such object")

    with pytest.raises(FileNotFoundError) as raised:
        open_store("gs://b/x", opener)
    assert (raised.value.filename, raised.value.errno) == ("gs://b/x", errno.ENOENT)
    other = NotFound("403")
    other.code = 403
    with pytest.raises(NotFound):
        open_store("gs://b/x", lambda: (_ for _ in ()).throw(other))


def test_errors_of_files_travel_between_processes() -> None:
    damaged, store = DamagedFile("a/b", "no  footer"), StoreError("gs://b/x", "timed\nout")
    for error in (damaged, store):
        again = copy.copy(error)
        assert (type(again), str(again)) == (type(error), str(error))


@pytest.mark.parametrize("flag", ["--tokenizer", "--exclude"])
def test_a_missing_file_of_a_flag_is_a_wrong_request(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(path: str) -> bytes:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr("pipeline.preflight.request.read_bytes", missing)
    (tmp_path / "a.txt").write_text("A book.")
    flags = [f"--input=books={tmp_path}/a.txt", f"--output={tmp_path}/out", "--phase=clean"]
    assert main([*flags, f"{flag}=s3://b/missing"]) == 2
    assert f"{flag} s3://b/missing: there is no such file" in capsys.readouterr().err


def test_a_store_that_does_not_answer_costs_the_report_only_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is finished when its report is written. If a store does not answer, the report only lacks its models."""

    def silent(folder: str | None) -> dict[str, Any]:
        raise StoreError(str(folder), "timed out")

    monkeypatch.setattr(run_models, "find_models", silent)
    state = SimpleNamespace(manifest=None, sources=(), record={"settings": {"models": "gs://b/models"}})
    assert run_models.models_of(state) == {}  # type: ignore[arg-type]
