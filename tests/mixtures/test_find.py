"""Tests the search for strings, ids and urls with an index. It finds the same rows as a full scan. Without an index,
the message says what to do.
"""

from __future__ import annotations

import errno
import json
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtures.find.__main__ import main
from mixtures.find.checked_file import SEGMENT_BYTES, CheckedFile, checksum_bytes, with_checksums
from mixtures.find.common import CommonPieces, count_common
from mixtures.find.grams import hashes, minima
from mixtures.find.index import _numbers
from mixtures.find.limits import GRAIN_BYTES, MAX_SHARE
from mixtures.find.make import make_indexes
from mixtures.find.postings import encode, encoded_bytes
from mixtures.find.search import Finder, FoundRow
from mixtures.find.token_match import TokenMatch
from tokenizer.encode import Encoder

Rows = list[tuple[str, str, int, list[int]]]
NUM_STRINGS = 200


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, rows: Rows, make_output: Callable[[Path, Rows], Path]) -> Path:
    folder = make_output(tmp_path_factory.mktemp("find") / "out", rows)
    assert len(make_indexes(folder)) == 6
    return folder


def places(hits: list[FoundRow]) -> list[tuple[str, int]]:
    return [(hit.shard, hit.row) for hit in hits]


def test_the_hits_are_those_of_a_full_scan(indexed: Path, rows: Rows, encoder: Encoder) -> None:
    finder = Finder(indexed)
    generator = np.random.default_rng(2)
    scanned = {(hit.shard, hit.row): hit.text for hit in finder.scan(" ")}
    assert len(scanned) > len(rows) - 5
    num_hits = 0
    for _ in range(NUM_STRINGS):
        text = encoder.decode(rows[int(generator.integers(len(rows)))][3])
        size = int(generator.choice([GRAIN_BYTES, 25, 40, 200]))
        begin = int(generator.integers(max(1, len(text) - size)))
        wanted = text[begin : begin + size]
        if len(wanted.encode()) < GRAIN_BYTES:
            continue
        found = list(finder.text(wanted))
        assert places(found) == [place for place, whole in scanned.items() if whole is not None and wanted in whole]
        num_hits += len(found)
    assert num_hits > NUM_STRINGS


def test_a_string_that_is_nowhere_has_no_hits(indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(indexed), "this string of letters is in no document at all"]) == 1
    assert "no row" in capsys.readouterr().err


def test_validation_rows_are_found_too(indexed: Path) -> None:
    (hit,) = Finder(indexed).ids([("c4", "held 2")])
    assert hit.shard == "validation/c4-00000-of-00001.arrow"
    assert [one.doc_id for one in Finder(indexed).scan("Held out, number 2.")] == ["held 2"]


def test_ids_are_found_in_every_epoch(indexed: Path, rows: Rows) -> None:
    finder = Finder(indexed)
    for source, doc_id, _, _ in rows[::7]:
        hits = list(finder.ids([(None, doc_id)]))
        assert len(hits) == sum(one[1] == doc_id for one in rows)
        assert {(hit.source, hit.doc_id) for hit in hits} == {(source, doc_id)}
    assert list(finder.ids([(None, "no such id")])) == []
    assert list(finder.ids([("absent", rows[0][1])])) == []


def test_urls_are_looked_up_in_the_clean_documents(
    output: Path, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    make_indexes(output)
    assert main([str(output), "--url", "https://example.com/1"]) == 2
    assert "holds no clean documents" in capsys.readouterr().err
    names = [doc_id for source, doc_id, epoch, _ in rows if source == "c4" and not epoch]
    (output / "clean/c4").mkdir(parents=True)
    urls = [f"https://example.com/{i}" for i in range(len(names))]
    part = output / "clean/c4/part-00000-of-00001.parquet"
    form: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(pa.table({"id": names, "url": urls}), part, **form)
    assert main([str(output), "--url", "https://example.com/1", "--ids-only"]) == 0
    assert capsys.readouterr().out.split("\n")[0] == names[1]
    part.write_bytes(part.read_bytes().replace(b"example.com/1", b"Example.com/1"))
    assert main([str(output), "--url", "https://example.com/1", "--ids-only"]) == 2, "a changed url is not missed"
    assert f"{part} is not a readable Parquet file" in capsys.readouterr().err


def test_the_index_is_small_and_made_alike_by_any_number_of_workers(output: Path, rows: Rows) -> None:
    shards = sum(path.stat().st_size for path in output.rglob("*.arrow"))
    made = {path: path.read_bytes() for path in make_indexes(output)}
    assert 0 < sum(map(len, made.values())) <= MAX_SHARE * shards
    for path in made:
        path.unlink()
    assert {path: path.read_bytes() for path in make_indexes(output, num_workers=2)} == made
    assert make_indexes(output, num_workers=2) == []


def test_an_absent_or_older_index_is_refused_in_one_line(
    output: Path, rows: Rows, make_output: Callable[[Path, Rows], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = "a string that is long enough"
    assert main([str(output), wanted]) == 2
    assert "has no index" in capsys.readouterr().err
    make_indexes(output)
    other = make_output(output.parent / "other", rows[::-1])
    for path in sorted((other / "shards").iterdir()):
        path.replace(output / "shards" / path.name)
    (other / "manifest.json").replace(output / "manifest.json")
    assert main([str(output), wanted]) == 2
    error = capsys.readouterr().err
    assert "is of another shards/train-00000-of-00005.arrow than lies there now" in error
    assert error.count("\n") == 1
    assert main([str(output), "--make-index"]) == 0
    assert "5 of 6 indexes made" in capsys.readouterr().out


def test_a_short_string_is_told_and_can_be_scanned_for(indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(indexed), "number 2."]) == 2
    assert "9 bytes: the index finds strings of at least 20" in capsys.readouterr().err
    assert main([str(indexed), "number 2.", "--scan"]) == 0
    assert "held 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "give one of"),
        (["a string that is long enough", "--id", "x"], "give one of"),
        (["a string that is long enough", "-n", "-1"], "-n -1 is negative"),
        (["", "--scan"], "an empty string"),
    ],
)
def test_a_wrong_request_is_one_line(
    indexed: Path, args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(indexed), *args]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_index_is_named(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_indexes(output)[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert main([str(output), "a string that is long enough"]) == 2
    assert f"{path} is damaged" in capsys.readouterr().err
    assert len(make_indexes(output)) == 1


def test_a_flipped_byte_of_an_index_hides_no_row(output: Path, rows: Rows, encoder: Encoder) -> None:
    """If a search does not read the damaged byte, it finds all rows. If it reads the byte, it names the damaged
    file.
    """
    path = make_indexes(output)[0]
    right = path.read_bytes()
    strings = [encoder.decode(row[3])[100:160] for row in rows[:4]]

    def found() -> list[tuple[str, int]]:
        finder = Finder(output)
        hits = [hit for wanted in strings for hit in finder.text(wanted)]
        return places([*hits, *finder.ids([(None, row[1]) for row in rows[:4]])])

    expected, num_named = found(), 0
    assert len(expected) > 4
    for at in {*range(0, len(right), max(1, len(right) // 150)), len(right) - 1}:
        path.write_bytes(right[:at] + bytes([right[at] ^ 1 << at % 8]) + right[at + 1 :])
        try:
            assert found() == expected
        except ValueError as error:
            num_named += f"{path} is damaged" in str(error)
    assert num_named > 100
    path.write_bytes(right)
    assert found() == expected


def test_a_damaged_index_is_made_again(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixtures.find.checked_file.SEGMENT_BYTES", 256)
    for path in make_indexes(output)[:2]:
        right = path.read_bytes()
        for at in (300, len(right) // 2, len(right) - 20):
            path.write_bytes(right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :])
            assert make_indexes(output) == [path]
            assert path.read_bytes() == right
    assert make_indexes(output) == []


def test_a_shard_rewritten_with_equal_size_gives_no_hits(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_indexes(output)
    info = Finder(output).infos[0]
    shard = output / info.path
    right = shard.read_bytes()
    (hit, *_) = Finder(output).scan(" the ")
    for request in (["a string that is long enough"], ["--id", hit.doc_id], ["--make-index"]):
        shard.write_bytes(right[: len(right) // 2] + bytes([right[len(right) // 2] ^ 1]) + right[len(right) // 2 + 1 :])
        assert main([str(output), *request]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert f"{shard} has checksum" in said.err.splitlines()[-1]
        shard.write_bytes(right)


def test_a_copied_output_is_searched_after_its_checksums_are_compared(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_indexes(output)
    copy = tmp_path / "copy"
    shutil.copytree(output, copy, copy_function=shutil.copyfile)
    (hit, *_) = Finder(copy).scan(" the ")
    wanted = [str(copy), "--id", hit.doc_id]
    assert main(wanted) == 0
    said = capsys.readouterr()
    assert "comparing the checksums of 6 shards" in said.err
    assert said.err.count("\n") == 1
    assert make_indexes(copy) == [], "the indexes are right, so none is made again"
    assert main(wanted) == 0
    again = capsys.readouterr()
    assert (again.out, again.err) == (said.out, "")


@pytest.mark.parametrize(
    ("error", "status", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), 2, "give this user the right"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), 2, ""),
    ],
)
def test_an_error_of_the_disk_is_one_line_and_leaves_no_half_index(
    output: Path,
    error: OSError,
    status: int,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(path: Path, data: bytes) -> int:
        with path.open("wb") as sink:
            sink.write(data[:10])
        raise error

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert main([str(output), "--make-index", "--workers", "1"]) == status
    said = capsys.readouterr().err
    assert (error.strerror or "") in said
    assert hint in said
    assert said.count("\n") == 1
    assert not [path for path in (output / "index").rglob("*") if path.is_file()]


def test_hits_before_a_damaged_index_are_said_to_be_incomplete(
    output: Path, rows: Rows, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_indexes(output)
    finder = Finder(output)
    first = next(finder.scan(" the "))
    assert first.text is not None

    def broken(self: Finder, wanted: str) -> Iterator[FoundRow]:
        yield first
        raise ValueError("the index of a later shard is damaged")

    monkeypatch.setattr(Finder, "text", broken)
    assert main([str(output), first.text[:60], "--ids-only"]) == 2
    said = capsys.readouterr()
    assert said.out == f"{first.doc_id}\n"
    assert said.err == (
        "mixtures.find: the index of a later shard is damaged; the rows listed before (1) are right, "
        "but there may be more\n"
    )


def test_an_id_that_the_tokenizer_lacks_is_named(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_indexes(output)
    info = Finder(output).infos[0]
    with pa.memory_map(str(output / info.path)) as mapped:
        batch = pa.ipc.open_file(mapped).get_batch(0)
        ids = batch.column("input_ids").values.to_numpy()[5:40].tobytes()
    data = (output / info.path).read_bytes()
    (output / info.path).write_bytes(data.replace(ids, b"\xff\xff" + ids[2:], 1))
    assert main([str(output), "--scan", "a string that is nowhere in it"]) == 2
    error = capsys.readouterr().err
    assert f"{info.path}: row 0 has an id that the tokenizer lacks" in error
    assert error.count("\n") == 1


def test_checksums_are_compared_once_and_only_where_something_is_read(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(3 * SEGMENT_BYTES + 17)
    data = with_checksums(content)
    assert len(data) == len(content) + checksum_bytes(len(content))
    path = tmp_path / "file"
    path.write_bytes(data[: SEGMENT_BYTES + 5] + bytes([data[SEGMENT_BYTES + 5] ^ 1]) + data[SEGMENT_BYTES + 6 :])
    file = CheckedFile(path)
    assert file.num_bytes == len(content)
    for begin, end in ((0, SEGMENT_BYTES), (2 * SEGMENT_BYTES, len(content)), (7, 7), (len(content), len(content))):
        assert file.read(begin, end).tobytes() == content[begin:end]
    for begin in (SEGMENT_BYTES - 1, SEGMENT_BYTES, 2 * SEGMENT_BYTES - 1):
        with pytest.raises(ValueError, match="is damaged"):
            file.read(begin, begin + 2)
    for cut in (0, 7, 8, 16, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(ValueError, match="is damaged"):
            CheckedFile(path)


def test_a_string_is_found_within_a_tenth_of_a_second(indexed: Path, rows: Rows, encoder: Encoder) -> None:
    wanted = encoder.decode(rows[3][3])[100:160]
    finder = Finder(indexed)
    finder.encoder()
    begun = time.process_time()
    assert list(finder.text(wanted))
    assert time.process_time() - begun < 0.1


def some_are_common(data: bytes, choice: int) -> CommonPieces:
    """Calls about half of a text's pieces common, of all levels."""
    generator = np.random.default_rng(choice)
    keys = np.unique(hashes(data) >> np.uint32(6))
    levels = generator.integers(0, 4, len(keys)).astype(np.uint32)
    is_common = (levels > 0) & (generator.random(len(keys)) < 0.7)
    return CommonPieces(keys[is_common] << np.uint32(2) | levels[is_common])


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 3))
def test_a_piece_of_a_text_has_pieces_of_its_sample(data: bytes, begin: int, end: int, choice: int) -> None:
    common = some_are_common(data, choice)
    part = minima(data[begin:end], common)
    assert set(part.tolist()) <= set(minima(data, common.table()).tolist())
    assert (len(part) > 0) == (len(data[begin:end]) >= GRAIN_BYTES)
    assert common.levels(hashes(data)).tolist() == common.table().levels(hashes(data)).tolist()


def test_the_sample_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(1).integers(0, 255, 5_000, dtype=np.uint8).tobytes()
    common = some_are_common(data, 1)
    whole = minima(data, common).tolist()
    monkeypatch.setattr("mixtures.find.grams._CHUNK_BYTES", 97)
    assert minima(data, common).tolist() == whole


@pytest.mark.parametrize("bits", [0, 1, 7, 20, 32])
def test_the_numbers_of_an_index_are_computed_in_parts(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(bits)
    slots = np.unique(generator.integers(0, 300, 50))
    hashes = generator.integers(0, 2**32, 400).astype(np.uint64)
    found = generator.choice(hashes, 3_000) << np.uint64(32) | generator.choice(slots, 3_000).astype(np.uint64)
    pairs = [(int(one) >> 32, int(slots.searchsorted(int(one) & 2**32 - 1))) for one in found]
    wanted = sorted({(value >> 32 - bits) * len(slots) + block for value, block in pairs})
    monkeypatch.setattr("mixtures.find.index._PART_NUMBERS", 100)
    assert _numbers(found, slots, bits).tolist() == wanted


def test_the_memory_for_an_index_grows_only_with_its_pieces() -> None:
    """An index with four times as many pieces needs the same memory, apart from 8 bytes per piece."""
    extra = []
    for count in (1 << 22, 1 << 24):
        found = np.random.default_rng(1).integers(0, 2**63, count).astype(np.uint64)
        tracemalloc.start()
        numbers = _numbers(found, np.arange(1), 20)
        extra.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(numbers)
    assert extra[1] < 1.2 * extra[0] < 300e6


@given(st.sets(st.integers(0, 5_000), max_size=400), st.integers(0, 5_001), st.integers(0, 5_001))
def test_numbers_are_given_back(numbers: set[int], begin: int, end: int) -> None:
    made = encode(np.array(sorted(numbers), np.int64), 5_001)
    assert made.between(begin, end).tolist() == sorted(n for n in numbers if begin <= n < end)
    assert made.low.nbytes + made.high.nbytes + made.samples.nbytes <= encoded_bytes(len(numbers), 5_001)


@pytest.mark.parametrize("limit", [1_000, 100_000_000])
def test_many_numbers_are_given_back(limit: int) -> None:
    generator = np.random.default_rng(3)
    numbers = np.unique(np.concatenate([generator.integers(0, limit, 30_000), np.arange(limit // 2, limit // 2 + 400)]))
    made = encode(numbers, limit)
    assert made.between(0, limit).tolist() == numbers.tolist()
    for begin in generator.integers(0, limit, 300).tolist():
        end = min(limit, begin + int(generator.integers(1, limit // 20)))
        assert made.between(begin, end).tolist() == numbers[(numbers >= begin) & (numbers < end)].tolist()


def test_hits_are_listed_up_to_a_number(indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(indexed), " the ", "--scan", "-n", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 2
    assert "there may be more" in said.err


def test_another_tokenizer_is_refused(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["tokenizer"]["sha256"] = "0" * 64
    (output / "manifest.json").write_text(json.dumps(manifest))
    assert main([str(output), "x", "--scan"]) == 2
    assert "is not the tokenizer that made the shards" in capsys.readouterr().err


PIECES = [b"", b"a", b"b", b"ab", b"ba", b"aab", b"\xc3", b"\xa9", b"abab", b"a" * 40]


@given(st.lists(st.integers(0, len(PIECES) - 1), max_size=60), st.data())
def test_tokens_in_which_a_string_begins_are_found(ids: list[int], data: st.DataObject) -> None:
    """Compares the tokens with a search in the joined bytes. Every occurrence is found. For strings of up to 32 bytes,
    nothing else is found.
    """
    text = b"".join(PIECES[one] for one in ids)
    begin = data.draw(st.integers(0, max(0, len(text) - 1)))
    wanted = text[begin : begin + data.draw(st.integers(1, 50))] or b"ab"
    ends = np.cumsum([len(PIECES[one]) for one in ids]) if ids else np.empty(0, np.int64)
    true = {
        int(ends.searchsorted(at, "right")) for at in range(len(text)) if text[at : at + len(wanted)] == wanted
    }  # fmt: skip
    found = set(TokenMatch(pa.array(PIECES, pa.binary()), wanted).places(np.array(ids, np.int64)).tolist())
    assert true <= found
    if len(wanted) <= 32:
        assert found == true


def test_a_string_with_a_replacement_character_is_found(indexed: Path, rows: Rows, encoder: Encoder) -> None:
    """If a document was truncated inside a character, its text ends with U+FFFD. No token id has these bytes."""
    assert Finder(indexed)._token_match("\ufffd and much more of it", encoder) is None
    match = Finder(indexed)._token_match("and more than twenty bytes", encoder)
    assert match is not None


def test_common_pieces_are_kept_only_without_anything_else() -> None:
    """A run of spaces is kept as a piece only if the 20 bytes around it have no less common piece. Otherwise an
    indented phrase would be looked up by its indentation, which occurs in very many documents.
    """
    texts = [b" " * 100 + b"%07d is in one text alone" % number for number in range(200)]
    common = count_common(texts, most_entries=1_000)
    spaces = set(minima(b" " * 100, common).tolist())
    assert len(spaces) == 1
    assert not spaces & set(minima(b" " * 16 + b"raise", common).tolist())
    assert spaces <= set(minima(b" " * 20 + b"raise", common).tolist())
    phrase = b"is in one text alone"
    assert common.levels(hashes(phrase)).tolist() == [3] * 9
    assert minima(phrase, common).size == 1, "a string of common pieces is found by the only ones it has"


@pytest.mark.parametrize("most_entries", [0, 1, 40, 10_000])
def test_the_most_common_pieces_are_stored_first(most_entries: int) -> None:
    texts = [b"in every text" * (number >= 0) + b" in half of them" * (number % 2) for number in range(64)]
    counts: dict[int, int] = {}
    for text in texts:
        for key in set((hashes(text) >> np.uint32(6)).tolist()):
            counts[key] = counts.get(key, 0) + 1
    common = count_common(texts, most_entries=most_entries)
    assert len(common.entries) == min(most_entries, len(counts))
    stored = [counts[entry >> 2] for entry in common.entries.tolist()]
    assert sorted(stored, reverse=True) == sorted(counts.values(), reverse=True)[:most_entries]
    assert common.entries.tolist() == sorted(common.entries.tolist())


def test_a_piece_that_few_texts_have_is_not_common() -> None:
    texts = [b"the same text" if number < 15 else b"%013d" % number for number in range(1_500)]
    assert not count_common(texts, most_entries=100).levels(hashes(b"the same text")).any()
    texts = [b"the same text" if number < 16 else b"%013d" % number for number in range(1_500)]
    assert count_common(texts, most_entries=100).levels(hashes(b"the same text")).tolist() == [1, 1]
