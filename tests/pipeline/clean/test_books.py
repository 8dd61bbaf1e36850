"""Tests books in the whole clean phase: which are dropped as near duplicates, and which are not."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy

from filters.books.overlap import shingles, sketch
from pipeline.clean.dedup.near import MAY_HIDE_DUPLICATES
from pipeline.clean.dedup.near_keys import parse_sketch, signature
from pipeline.models.find import find_models
from pipeline.sources.books.reader import SOURCE

_RANDOM = random.Random(7)
_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


def words(number: int) -> list[str]:
    """Returns random words. No run of five words occurs twice."""
    return ["".join(_RANDOM.choices(_SYLLABLES, k=3)) for _ in range(number)]


def overlapping(share: float) -> tuple[list[str], list[str]]:
    """Returns two books of 3,004 and 4,004 words. The longer one contains ``share`` of the 5-grams of the shorter
    one.
    """
    common = words(round(3000 * share) + 4)
    return common + words(3004 - len(common)), words(4004 - len(common)) + common


def made_books() -> dict[str, list[str]]:
    books: dict[str, list[str]] = {}
    for percent in (80, 88, 92, 97):
        books[f"short {percent}"], books[f"long {percent}"] = overlapping(percent / 100)
    novels = [words(1200 + 100 * n) for n in range(5)]
    books |= {f"novel {n}": novel for n, novel in enumerate(novels)}
    books["omnibus"] = [word for novel in novels for word in novel]
    story = words(1500)
    books |= {"story": story, "anthology 1": story + words(1500), "anthology 2": words(2500) + story}
    # In a chain of books whose neighbours overlap by 0.92, only the middle one is dropped.
    chain = words(2400)
    books |= {"chain 1": chain[:2004] + words(100), "chain 2": chain[150:2154], "chain 3": chain[300:2300]}
    edition = words(1300)
    books |= {f"edition {n}": [*edition, *words(1 + n % 7)] for n in range(80)}
    psalm = words(900)
    books |= {f"psalter {n}": psalm + words(400 + n) for n in range(100)}
    return books


def book_id(text: list[str]) -> str:
    return "book-" + hashlib.blake2b(" ".join(text).encode(), digest_size=8).hexdigest()


BOOKS = made_books()
GONE = {
    "short 92": "long 92", "short 97": "long 97", **{f"novel {n}": "omnibus" for n in range(5)},
    "chain 2": "chain 1",
}  # fmt: skip


def run(folder: Path, name: str, *, num_files: int = 2, through_files: bool = True) -> tuple[dict[str, Any], Any]:
    inputs = folder / f"in-{name}"
    inputs.mkdir()
    rows = [{"text": " ".join(text), "meta": {"title": title}} for title, text in BOOKS.items()]
    # The same texts under other names are dropped by their ids, so the near dedup never sees them.
    rows[:0] = [{**row, "meta": {"title": f"{n}"}} for n, row in enumerate(rows[::3])]
    if num_files == 1:
        rows.reverse()
    for number in range(num_files):
        (inputs / f"{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[number::num_files]))
    (inputs / "line.txt").write_text("A book of one line.\n")
    (inputs / "nuls.txt").write_bytes(bytes(10_000))
    job = toy.job_of(SOURCE, inputs, folder / name, through_files=through_files)
    job = toy.with_sizes(replace(job, models={"language": find_models(None)["language"]}), sample_docs=300)
    return toy.run_job(job), job


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any]:
    return run(tmp_path_factory.mktemp("books"), "out")


def titles(job: Any) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Returns two dicts: the title of each kept book by its id, and the row in ``dropped/`` of each near duplicate by
    its title.
    """
    by_id = {book_id(text): title for title, text in BOOKS.items()}
    kept = {row["id"]: by_id[row["id"]] for row in toy.table(job.places.clean_dir)}
    gone = {
        by_id[row["id"]]: {**row, "text": None}
        for row in toy.table(job.places.dropped_dir)
        if row["stage"] == "near_dedup"
    }
    return kept, gone


def test_what_goes_stands_in_what_stays(done: tuple[dict[str, Any], Any]) -> None:
    kept, gone = titles(done[1])
    editions = [title for title in gone if title.startswith("edition ")]
    assert len(editions) == 79
    # The story is dropped, because a kept anthology contains it. Neither anthology is dropped.
    assert set(gone) - set(editions) == {*GONE, "story"}
    assert set(kept.values()) == set(BOOKS) - set(gone)
    for title, row in gone.items():
        assert row["reason"] == "near_duplicate"
        share, keeper = dict(row["signals"])["overlap"], row["detail"]
        assert 0.9 < share <= 1.0
        expected = GONE.get(title)
        if expected:
            assert kept[keeper] == expected
        else:
            assert kept[keeper].startswith("edition" if title in editions else "anthology")
    assert dict(gone["short 92"]["signals"])["overlap"] == 0.92
    assert dict(gone["short 97"]["signals"])["overlap"] == 0.97


def test_of_books_that_stay_the_overlap_with_another_that_stays_is_told(done: tuple[dict[str, Any], Any]) -> None:
    kept, _ = titles(done[1])
    rows = {kept[row["id"]]: dict(row["signals"]) for row in toy.table(done[1].places.clean_dir)}
    told = {title: signals["overlap"] for title, signals in rows.items() if "overlap" in signals}
    for percent in (80, 88):
        assert told[f"short {percent}"] == told[f"long {percent}"] == percent / 100
    assert told["chain 1"] == told["chain 3"] == pytest.approx((2004 - 300 - 4) / 1996, abs=0.01)
    assert all(0.5 <= share <= 0.9 for share in told.values())
    for title in ("long 92", "long 97", "omnibus"):  # the books that they overlap are dropped
        assert title not in told


def test_books_of_common_text_are_counted_and_kept(done: tuple[dict[str, Any], Any]) -> None:
    stats, job = done
    (stage,) = [stage for stage in stats["stages"] if stage["stage"] == "near_dedup"]
    kept, _ = titles(job)
    assert sum(title.startswith("psalter") for title in kept.values()) == 100
    # The hundred psalters and the eighty editions consist mostly of text that more than 64 books contain.
    assert stage["noted"] == {MAY_HIDE_DUPLICATES: 180}
    assert stage["in"] == stage["kept"] + sum(stage["dropped"].values())


def test_what_is_no_book_never_gets_that_far(done: tuple[dict[str, Any], Any]) -> None:
    stats, job = done
    assert stats["records"] == {"not_text": 1}
    assert [row["reason"] for row in toy.table(job.places.dropped_dir) if row["stage"] == "book_quality"] == [
        "too_few_words"
    ]


def digest(job: Any) -> list[str]:
    """Returns a hash of all columns of each kept document. The texts themselves would fill the screen in a failure."""
    return [hashlib.md5(repr(row).encode()).hexdigest() for row in toy.table(job.places.clean_dir)]


@pytest.mark.parametrize("kwargs", [{"num_files": 1}, {"through_files": False}])
def test_neither_order_nor_engine_decides(
    done: tuple[dict[str, Any], Any], tmp_path: Path, kwargs: dict[str, Any]
) -> None:
    _, job = run(tmp_path, "other", **kwargs)
    assert digest(job) == digest(done[1])
    assert titles(job) == titles(done[1])


class _Spill:
    """Plays a spill file. Counts the bytes that would be written."""

    num_bytes = 0

    def append(self, data: bytes) -> Any:
        from pipeline.files.spill import Blob

        self.num_bytes += len(data)
        return Blob("/spill/0123456789abcdef0123456789abcdef", 0, len(data), 0)


def test_the_bytes_of_a_book_in_the_shuffle_are_what_is_said() -> None:
    """For a book of 500 kB, 16 kB are shuffled. 8 bytes per shingle (word 5-gram) are spilled, and are read again only
    if the book is a candidate.
    """
    text = " ".join(words(75_000))
    spill = _Spill()
    book = signature("book-0123456789abcdef", text, bytes(16), 5, spill)  # type: ignore[arg-type]
    assert 490_000 < len(text) < 560_000
    payloads = [book.info(156)[1], *(payload for _, payload in book.sketch_payloads(156))]
    assert 10_000 < sum(map(len, payloads)) < 17_000
    assert spill.num_bytes == 8 * len(shingles(text))
    assert sum(len(parse_sketch(payload).hashes) for payload in payloads[1:]) == len(sketch(shingles(text)))
    again = signature("book-1", "all work and no play makes " * 400, bytes(16), 5, spill)  # type: ignore[arg-type]
    assert again.num_shingles == 6
    assert sum(len(parse_sketch(p).hashes) for _, p in again.sketch_payloads(16)) == len(again.sketched)
