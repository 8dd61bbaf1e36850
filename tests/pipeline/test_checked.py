"""Tests that reading a work file never returns wrong data, whichever byte is changed and wherever the file is
truncated.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clean.batches import SIGNALS_TYPE
from pipeline.clean.dedup.earlier_dumps import KeyFileWriter
from pipeline.clean.dedup.kept_texts import kept_texts
from pipeline.engine.group_bytes import MergedRuns, _written_run
from pipeline.engine.known_failures import explained
from pipeline.engine.unit_list import _units, write_unit_list
from pipeline.files.checked import CheckedBatches, DamagedFile, checked_batches, note_of, read_checked, write_checked
from pipeline.files.parquet_files import parquet_batches
from pipeline.files.spill import Blob, SpillFile
from pipeline.mix.last_epoch import token_batches
from pipeline.output.markers import read_marker, write_marker
from pipeline.report.documents import Read, read_sample
from pipeline.sources.corpora.rows import read_rows as corpora_rows
from pipeline.sources.github.tables import read_rows as table_rows
from pipeline.sources.source import Rejected, Unit

TOKENS = pa.schema({"doc_id": pa.string(), "input_ids": pa.list_(pa.uint16())})
TEXTS = pa.schema({"id": pa.string(), "text": pa.string()})


def token_file(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = folder / "tokens.arrow"
    with open(path, "wb") as sink:
        writer = CheckedBatches(sink, TOKENS)
        for start in (0, 3):
            rows = [{"doc_id": f"doc-{start + i}", "input_ids": list(range(i * 7))} for i in range(5)]
            whole = pa.RecordBatch.from_pylist(rows, schema=TOKENS)
            writer.write(whole.slice(1, 3))  # what a batch was sliced from is not part of it
        writer.close()
    return path, lambda: [batch.to_pylist() for batch in token_batches(str(path), with_tokens=True)]


def sample_file(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = folder / "sample.arrow"
    with open(path, "wb") as sink:
        writer = CheckedBatches(sink, TEXTS)
        writer.write(pa.RecordBatch.from_pylist([{"id": "a", "text": "x" * 300}, {"id": "ü", "text": ""}], TEXTS))
        writer.close({"text_bytes": 300})
    read = (lambda: note_of(str(path), remedy="")), (lambda: list(checked_batches(str(path), remedy="")))
    return path, lambda: (read[0](), [batch.to_pylist() for batch in read[1]()])


def key_file(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = folder / "keys.arrow"
    with KeyFileWriter(str(path)) as writer:
        for number in range(20):
            writer.write(number.to_bytes(16, "big"), f"doc {number}")
    return path, lambda: [batch.to_pylist() for batch in checked_batches(str(path), remedy="")]


def unit_list(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = folder / "units.jsonl"
    names = ["a b", "c\u2028d", "e\u2029f", "g\u0085h", "i\nj", "k\rl"]
    write_unit_list(str(path), [Unit(path=name, num_bytes=3) for name in names])
    return path, lambda: list(_units(str(path)))


def small_file(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = folder / "held-out.json"
    write_checked(str(path), json.dumps({"sources": {"books": {"tokens": 12}}}).encode())
    return path, lambda: json.loads(read_checked(str(path)))


def blob_file(folder: Path) -> tuple[Path, Callable[[], Any]]:
    spill = SpillFile(str(folder))
    blobs = [spill.append(bytes(range(50)) * n) for n in (1, 2, 3)]
    spill.close()
    return Path(blobs[0].path), lambda: [blob.read() for blob in blobs]


def run_file(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = folder / "run"
    run = _written_run(str(path), [bytes([n % 7]) * n for n in range(60)])
    return path, lambda: list(MergedRuns([run], 1 << 20))


def part_file(folder: Path) -> tuple[Path, Callable[[], Any]]:
    path = folder / "part-00000-of-00001.parquet"
    rows = [{"id": f"d{n}", "text": f"text {n} " * 9, "signals": [("length", n * 1.5)]} for n in range(40)]
    schema = pa.schema({**{f.name: f.type for f in TEXTS}, "signals": SIGNALS_TYPE})
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(pa.Table.from_pylist(rows[:25], schema))
        writer.write_table(pa.Table.from_pylist(rows[25:], schema))
    batches = partial(parquet_batches, str(path), ["id", "text", "signals", "not there"], batch_size=7)
    return path, lambda: [row for batch in batches() for row in batch.to_pylist()]


MAKERS = [part_file, token_file, sample_file, key_file, unit_list, small_file, blob_file, run_file]


@pytest.mark.parametrize("make", MAKERS)
def test_what_was_written_is_read(make: Callable[[Path], Any], tmp_path: Path) -> None:
    _, read = make(tmp_path)
    assert read() == read()
    assert read()


@pytest.mark.parametrize("make", MAKERS)
def test_no_changed_bit_changes_what_is_read(make: Callable[[Path], Any], tmp_path: Path) -> None:
    """Changes one bit of each byte in turn. Either the damage is reported, or the data that is read is unchanged."""
    path, read = make(tmp_path)
    sound, content = path.read_bytes(), read()
    faults = []
    for place in range(len(sound)):
        data = bytearray(sound)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            assert read() == content, f"byte {place}"
        except DamagedFile as error:
            faults.append(str(error))
    assert len(faults) > len(sound) / 4, "most of a file is content"
    assert all(str(path) in fault and "\n" not in fault for fault in faults)


@pytest.mark.parametrize("make", [m for m in MAKERS if m not in (blob_file, run_file)])
def test_no_truncated_file_is_read(make: Callable[[Path], Any], tmp_path: Path) -> None:
    path, read = make(tmp_path)
    sound = path.read_bytes()
    for size in {0, 1, len(sound) // 3, len(sound) // 2, len(sound) - 1}:
        path.write_bytes(sound[:size])
        with pytest.raises(DamagedFile):
            read()


def test_a_vanished_token_file_is_reported(tmp_path: Path) -> None:
    path, read = token_file(tmp_path)
    path.unlink()
    with pytest.raises(DamagedFile, match="not there any more"):
        read()


@given(st.lists(st.lists(st.integers(0, 65535), max_size=9), max_size=9), st.data())
@settings(deadline=None, max_examples=30)
def test_tokens_that_are_not_read_are_not_checked(tmp_path_factory: Any, documents: list[list[int]], data: Any) -> None:
    """A pass that needs only ids and lengths reads only these."""
    path = tmp_path_factory.mktemp("t") / "tokens.arrow"
    rows = [{"doc_id": str(i), "input_ids": ids} for i, ids in enumerate(documents)]
    start = data.draw(st.integers(0, len(rows)))
    with open(path, "wb") as sink:
        writer = CheckedBatches(sink, TOKENS)
        writer.write(pa.RecordBatch.from_pylist(rows, schema=TOKENS).slice(start))
        writer.close()
    lengths = [np.diff(b.column("input_ids").offsets.to_numpy()).tolist() for b in token_batches(str(path))]
    assert lengths == [[len(ids) for ids in documents[start:]]]


def test_a_damaged_file_is_one_line_to_the_user() -> None:
    error = RuntimeError(
        "Traceback (most recent call last):\n  File x\npipeline.files.checked.DamagedFile: /o/part 1.arrow is damaged "
        "(batch 0 has wrong checksums); delete it [while running 'x']\n"
    )
    said = explained(error)
    assert said == "/o/part 1.arrow is damaged (batch 0 has wrong checksums); delete it"


def test_a_marker_that_was_edited_is_none(tmp_path: Path) -> None:
    path = tmp_path / "clean-books.json"
    marker = {"fingerprint": "f", "parts": {"clean": "c"}, "documents": {"kept": 12}, "ä": [1, 2]}
    write_marker(str(path), marker)
    assert read_marker(str(path)) == marker
    sound = path.read_text()
    path.write_text(sound.replace("12", "13"))
    assert read_marker(str(path)) is None
    path.write_text(json.dumps(json.loads(sound)))
    assert read_marker(str(path)) == marker, "its layout is nobody's content"
    path.write_text(json.dumps(marker))
    assert read_marker(str(path)) == marker, "earlier versions wrote none"
    for text in ("", "{", "[]", "null", '"x"', sound[:-3]):
        path.write_text(text)
        assert read_marker(str(path)) is None


def test_a_blob_of_another_place_is_not_taken(tmp_path: Path) -> None:
    path, _ = blob_file(tmp_path)
    with pytest.raises(DamagedFile):
        Blob(str(path), 1, 50, 0).read()


def opened(path: str) -> Any:
    return Path(path).open("rb")


def claims_fewer_rows(path: Path) -> None:
    """Changes one byte of the footer, so that the first row group claims to have 24 rows. It has 25."""
    sound = path.read_bytes()
    for place in range(len(sound) - 8 - int.from_bytes(sound[-8:-4], "little"), len(sound) - 8):
        data = bytearray(sound)
        if data[place] == 2 * 25:  # Thrift stores the double of a number that is not negative
            data[place] = 2 * 24
            path.write_bytes(data)
            with contextlib.suppress(OSError, pa.ArrowException):
                if pq.read_metadata(path).row_group(0).num_rows == 24:
                    return
    raise AssertionError("no byte of the footer is the number of rows")


def test_a_row_group_that_claims_fewer_rows_is_told(tmp_path: Path) -> None:
    """A row group that claims too few rows is reported. Otherwise its last row would be missing, and the rows after it
    would be mistaken for other rows.
    """
    path, read = part_file(tmp_path)
    wanted = [(3, ""), (30, "")]
    assert [kept.document_id for kept, _ in kept_texts(str(path), wanted)] == ["d3", "d30"]
    unit = Unit(path=str(path), num_bytes=path.stat().st_size, kind="parquet")
    sound = list(corpora_rows(unit, ["id"], opened))
    claims_fewer_rows(path)
    with pytest.raises(DamagedFile, match="its footer says 40"):
        read()
    with pytest.raises(DamagedFile, match="its footer says 40"):
        list(kept_texts(str(path), wanted))
    seen = Read()
    assert [batch.num_rows for _, batch in read_sample(str(tmp_path), ["id"], seen)] == []
    assert not seen.is_all
    assert "its footer says 40" in seen.unreadable[str(path)]
    first, *rest = corpora_rows(unit, ["id"], opened)
    assert isinstance(first, Rejected)
    assert (first.reason, len(rest)) == ("damaged_parquet", len(sound) - 1)


def test_a_table_of_github_that_claims_fewer_rows_is_told(tmp_path: Path) -> None:
    path = tmp_path / "contents.parquet"
    table = pa.table({"id": [f"d{n}" for n in range(40)], "content": ["a"] * 40})
    pq.write_table(table, path, row_group_size=25, write_page_checksum=True)
    claims_fewer_rows(path)
    unit = Unit(path=str(path), num_bytes=path.stat().st_size, kind="contents.parquet")
    first, *rest = table_rows(unit, "parquet", opened)
    assert isinstance(first, Rejected)
    assert (first.reason, len(rest)) == ("damaged_parquet", 39)
