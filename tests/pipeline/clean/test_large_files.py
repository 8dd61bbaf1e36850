"""Tests large files in the whole clean phase. The output is the same whether or not a task first unpacks a file."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy

from pipeline.models.find import find_models
from pipeline.sources.books import chunks as books_unpack
from pipeline.sources.books.reader import SOURCE, BooksReader

NUM_BOOKS = 40


def book(number: int) -> str:
    return " ".join(
        f"{word}{chr(97 + number % 26)}{chr(97 + number // 26)}" for word in ("walk", "tree", "house") * 400
    )


def write_inputs(folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(folder / "books.tar.gz", "w:gz") as archive:
        members = {f"{number}.txt": book(number).encode() for number in range(NUM_BOOKS)}
        for name, data in {**members, "short.txt": b"one line", "nuls.txt": bytes(5000), "a.jpg": b"x"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    rows = [json.dumps({"text": book(number)}) for number in range(NUM_BOOKS - 5, NUM_BOOKS + 20)]
    (folder / "rows.jsonl").write_text("\n".join([*rows[:9], "no json", *rows[9:]]))


def test_a_large_file_is_unpacked_by_one_task_and_read_by_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books_unpack, "CHUNK_BYTES", 50_000)
    write_inputs(tmp_path / "in")
    results: list[tuple[dict[str, Any], list[dict[str, Any]], set[tuple[str, str]]]] = []
    for name, reader in (("at_once", BooksReader()), ("unpacked", BooksReader(max_unit_bytes=1000))):
        job = toy.job_of(replace(SOURCE, reader=reader), tmp_path / "in", tmp_path / name)
        job = toy.with_sizes(replace(job, models={"language": find_models(None)["language"]}), sample_docs=300)
        stats = toy.run_job(job)
        dropped = {(row["id"], row["reason"]) for row in toy.table(job.places.dropped_dir)}
        results.append((stats, toy.table(job.places.clean_dir), dropped))
    assert results[0] == results[1]
    stats, clean, dropped = results[1]
    assert len(clean) == NUM_BOOKS + 20
    assert stats["records"] == {"not_json": 1, "not_text": 1, "unknown_form": 1}
    path = tmp_path / "in" / "books.tar.gz"
    assert {(f"{path}#nuls.txt", "not_text"), (f"{path}#a.jpg", "unknown_form")} <= dropped
    assert (f"{tmp_path / 'in' / 'rows.jsonl'}:10", "not_json") in dropped
