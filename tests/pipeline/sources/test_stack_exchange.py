"""Dumps to posts to documents: every form of row, every cut, every fault of the systems before, hostile input."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import py7zr
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import stack_exchange_rows
from pipeline.sources.base import Chunk, InputFile, Rejected, TableRow, Unit, Unpacker
from pipeline.sources.stack_exchange import SOURCE, AnswerJoin, StackExchangeReader
from pipeline.sources.stack_exchange_rows import RowBlock, parse_rows, row_blocks

READER = StackExchangeReader()
JOIN = AnswerJoin()
ODD_ROWS = (Path(__file__).parents[2] / "cases/stack_exchange/odd_rows.xml").read_bytes()


def open_file(path: str) -> BinaryIO:
    return Path(path).open("rb")


def files(*paths: Path) -> list[InputFile]:
    return [InputFile(str(path), path.stat().st_size) for path in paths]


def read_bytes_as(data: bytes, site: str = "a.stackexchange.com") -> list[TableRow | Rejected]:
    unit = Unit(path=f"{site}/Posts.xml", num_bytes=len(data), kind=f"xml:{site}", end=len(data))
    return list(READER.read(unit, lambda path: io.BytesIO(data)))


def posts_of(items: list[Any]) -> dict[int, dict[str, Any]]:
    return {item.row["post_id"]: item.row for item in items if isinstance(item, TableRow)}


def rejects_of(items: list[Any]) -> list[tuple[str, bool]]:
    return [(item.reason, item.is_bad) for item in items if isinstance(item, Rejected)]


def read_archive(path: Path, tmp_path: Path, reader: StackExchangeReader = READER) -> Iterator[TableRow | Rejected]:
    """As the pipeline does: chunks are spilled, several in one file, and read back."""
    spill = tmp_path / "spill"
    for unit in reader.units(files(path), open_file):
        assert unit.kind in reader.CONTAINERS
        for chunk in reader.unpack(unit, open_file):
            if isinstance(chunk, Rejected):
                yield chunk
                continue
            spill.write_bytes(b"before" + chunk.data + b"<row behind")
            yield from reader.read(
                Unit(path=str(spill), num_bytes=len(chunk.data), kind=chunk.kind, start=6, end=6 + len(chunk.data),
                     origin=chunk.origin), open_file)  # fmt: skip


def pack(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with py7zr.SevenZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return path


def post(post_id: int, question_id: int | None = None, **fields: Any) -> dict[str, Any]:
    is_question = question_id is None
    return {
        "site": "a.stackexchange.com",
        "post_id": post_id,
        "question_id": post_id if is_question else question_id,
        "is_question": is_question,
        "score": 0,
        "title": f"title {post_id}" if is_question else "",
        "text": f"text {post_id}",
        "tags": ["t"] if is_question else [],
        "creation_date": "2010-01-01T00:00:00.000",
        "last_activity_date": "2010-01-01T00:00:00.000",
        "accepted_answer_id": None,
        "closed_date": None,
        **fields,
    }


def document_of(made: list[Any]) -> dict[str, Any]:
    (document,) = [item for item in made if isinstance(item, dict)]
    return document


# ------------------------------------------------------------------------------------------------ names and units


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("d/coffee.stackexchange.com.7z", ["7z"]),
        ("d/stackoverflow.com-Posts.7z", ["7z"]),
        ("d/stackoverflow.com-Votes.7z", []),
        ("d/coffee.stackexchange.com/Posts.xml", ["xml:coffee.stackexchange.com"]),
        ("d/coffee.stackexchange.com/Comments.xml", []),
        ("gs://b/ai.stackexchange.com.2017/Posts.xml", ["xml:ai.stackexchange.com"]),
        ("d/meta.datascience.stackexchange.com.a/Posts.xml", ["xml:meta.datascience.stackexchange.com"]),
        ("d/stackoverflow.com-Posts/Posts.xml", ["xml:stackoverflow.com"]),
        ("d/ru.stackoverflow.com/Posts.xml", ["xml:ru.stackoverflow.com"]),
        ("d/forum.example.org/Posts.xml", ["xml:forum.example.org"]),
    ],
)
def test_names(path: str, kinds: list[str]) -> None:
    assert [unit.kind for unit in READER.units([InputFile(path, 10)], open_file)] == kinds


@pytest.mark.parametrize("path", ["dumps/Posts.xml", "Posts.xml", "d/notes.7z", "d/a.stackexchange.com/posts.json"])
def test_a_name_that_is_not_a_dump_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"is not a dump; give SITE\.7z"):
        READER.units([InputFile(path, 10)], open_file)


def test_units_cover_a_file_once() -> None:
    units = StackExchangeReader(unit_bytes=100).units([InputFile("a.stackexchange.com/Posts.xml", 1001)], open_file)
    assert len(units) == 11
    assert [unit.start for unit in units] == [0, *(unit.end for unit in units[:-1])]
    assert units[-1].end == 1001


# --------------------------------------------------------------------------------------------------- rows to posts


def test_odd_rows() -> None:
    items = read_bytes_as(ODD_ROWS)
    posts = posts_of(items)
    texts = {post_id: row["text"] for post_id, row in posts.items()}
    assert texts == {
        1: "one",
        2: "order",
        3: "two on a line",
        4: "closed by a tag",
        5: "over several lines",
        6: "<b> is once decoded, 5 > 4 is raw, /> too",
        13: "a forbidden character",
        14: "",
        17: "orphan",
        20: "inner",
    }
    assert Counter(rejects_of(items)) == {
        ("not_question_or_answer", False): 1,
        ("row_without_id", True): 1,
        ("row_without_type", True): 1,
        ("answer_without_parent", True): 1,
        ("bad_score", True): 1,
        ("undeclared_entity", True): 1,
        ("bad_row", True): 3,
        ("deleted", False): 1,
    }
    assert posts[1] == post(1, score=2, title="Plain", text="one", tags=["a", "b-c"], last_activity_date=None)
    assert (posts[14]["title"], posts[14]["tags"]) == ("Wide title", ["x", "y"])
    assert posts[14]["closed_date"] == "2011-01-01T00:00:00.000"
    assert {i: row["score"] for i, row in posts.items() if i < 6} == {1: 2, 2: 10, 3: 9, 4: -1, 5: 100}
    json.dumps([item.row for item in items if isinstance(item, TableRow)])


def test_a_bad_row_is_found_by_its_place() -> None:
    (bad,) = [item for item in read_bytes_as(ODD_ROWS) if isinstance(item, Rejected) and item.reason == "bad_score"]
    place, _, offset = bad.place.rpartition("@")
    assert place == "a.stackexchange.com/Posts.xml"
    assert ODD_ROWS[int(offset) :].startswith(b'<row Id="9"')


def test_odd_rows_are_read_once_wherever_the_file_is_cut() -> None:
    whole = Counter(map(repr, read_bytes_as(ODD_ROWS)))
    for cut in range(len(ODD_ROWS) + 1):
        found: list[Any] = []
        for start, end in ((0, cut), (cut, len(ODD_ROWS))):
            unit = Unit(path="a.stackexchange.com/Posts.xml", num_bytes=end - start, kind="xml:a.stackexchange.com",
                        start=start, end=end)  # fmt: skip
            found += READER.read(unit, lambda path: io.BytesIO(ODD_ROWS))
        assert Counter(map(repr, found)) == whole, cut


@given(cuts=st.lists(st.integers(0, len(ODD_ROWS)), max_size=30), read_bytes=st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_odd_rows_are_read_once_however_they_are_cut_and_buffered(cuts: list[int], read_bytes: int) -> None:
    def rows(start: int, end: int | None, size: int) -> Iterator[str]:
        for block in row_blocks(io.BytesIO(ODD_ROWS), place="p", start=start, end=end, read_bytes=size):
            yield from map(repr, parse_rows(block, "p") if isinstance(block, RowBlock) else [block])

    edges = sorted({0, len(ODD_ROWS), *cuts})
    found = [row for start, end in pairwise(edges) for row in rows(start, end, read_bytes)]
    assert Counter(found) == Counter(rows(0, None, 1 << 20))


def test_a_billion_laughs_are_refused() -> None:
    lol = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    data = f"""<?xml version="1.0"?><!DOCTYPE posts [<!ENTITY l0 "lol">{lol}]><posts>
      <row Id="1" PostTypeId="1" Score="1" Title="t" Body="&l9;" /><row Id="2" PostTypeId="1" Title="u" Body="b" />
      </posts>"""
    items = read_bytes_as(data.encode())
    assert sorted(rejects_of(items)) == [("undeclared_entity", True), ("xml_doctype", True)]
    assert list(posts_of(items)) == [2]


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    data = f"""<!DOCTYPE posts [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]><posts>
      <row Id="1" PostTypeId="1" Title="t" Body="&x;" /></posts>"""
    items = read_bytes_as(data.encode())
    assert posts_of(items) == {}
    assert "secret" not in repr(items).replace("/secret", "")


@pytest.mark.parametrize(
    ("data", "rejects", "ids"),
    [
        (b"<posts></posts>", [], []),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<posts />", [], []),
        (b"", ["not_posts_xml"], []),
        (b"\x1f\x8b\x08 not xml", ["not_posts_xml"], []),
        ("<posts><row Id='1' /></posts>".encode("utf-16"), ["not_posts_xml"], []),
        (b'<posts><row Id="1" PostTypeId="1" Body="x" />', ["truncated_xml"], [1]),
        (b'<posts><row Id="1" PostTypeId="1" Body="x" />\n<row Id="2" Post', ["bad_row", "truncated_xml"], [1]),
        (b'<posts><row Id="1" PostTypeId="1" Body="\xff" /><row Id="2" PostTypeId="1" /></posts>', ["bad_row"], [2]),
        (b'<posts><row Id="99999999999999999999" PostTypeId="1" Body="x" /></posts>', ["row_without_id"], []),
        (b'<posts><row Id="1" PostTypeId="1" Body="x" /></posts><posts><row Id="2" PostTypeId="1" Body="x" /></posts>',
         [], [1, 2]),
    ],
)  # fmt: skip
def test_broken_files(data: bytes, rejects: list[str], ids: list[int]) -> None:
    items = read_bytes_as(data)
    assert [reason for reason, _ in rejects_of(items)] == rejects
    assert list(posts_of(items)) == ids


def test_a_row_without_end_is_skipped_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_exchange_rows, "MAX_ROW_BYTES", 5000)
    data = b'<posts><row Id="1" PostTypeId="1" Body="' + b"x" * 100_000 + b'" /><row Id="2" PostTypeId="1" /></posts>'
    blocks = list(row_blocks(io.BytesIO(data), place="p", read_bytes=1000))
    assert [b.reason for b in blocks if isinstance(b, Rejected)] == ["row_too_long"]
    assert [b.data for b in blocks if isinstance(b, RowBlock)] == [b'<row Id="2" PostTypeId="1" /></posts>']


# ------------------------------------------------------------------------------------------------------- archives


FILTERS: dict[str, Any] = {
    "lzma2": [{"id": py7zr.FILTER_LZMA2, "preset": 1}],
    "lzma": [{"id": py7zr.FILTER_LZMA, "preset": 1}],
    "bzip2, the dumps' own": [{"id": py7zr.FILTER_BZIP2}],
    "deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "stored": [{"id": py7zr.FILTER_COPY}],
}


def many_rows(num_rows: int, num_chars: int = 200) -> bytes:
    rng = random.Random(0)
    rows = (
        f'  <row Id="{i}" PostTypeId="1" Score="{i % 7}" Title="t{i}" Body="{rng.randbytes(num_chars // 2).hex()}" />\n'
        for i in range(1, num_rows + 1)
    )
    return ("<?xml version='1.0'?>\n<posts>\n" + "".join(rows) + "</posts>").encode()


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_archive(filters: Any, tmp_path: Path) -> None:
    other = many_rows(50).replace(b"<posts>", b"<comments>")
    members = {"Comments.xml": other, "Posts.xml": ODD_ROWS, "Votes.xml": other}
    path = pack(tmp_path / "a.stackexchange.com.7z", members, filters=filters)
    items = list(read_archive(path, tmp_path))
    plain = read_bytes_as(ODD_ROWS)
    assert [i.row for i in items if isinstance(i, TableRow)] == [i.row for i in plain if isinstance(i, TableRow)]
    assert rejects_of(items) == rejects_of(plain)
    places = [i.place.replace("Posts.xml@", "#") for i in plain if isinstance(i, Rejected)]
    assert [i.place.rpartition("@")[2] for i in items if isinstance(i, Rejected)] == [
        p.rpartition("#")[2] for p in places
    ]
    assert all(i.place.startswith(f"{path}#Posts.xml@") for i in items if isinstance(i, Rejected))


def test_chunks_are_whole_rows_of_about_8_mb(tmp_path: Path) -> None:
    data = many_rows(20_000, 1000)
    path = pack(tmp_path / "stackoverflow.com-Posts.7z", {"Posts.xml": data}, filters=FILTERS["stored"])
    (unit,) = READER.units(files(path), open_file)
    chunks = [chunk for chunk in READER.unpack(unit, open_file) if isinstance(chunk, Chunk)]
    assert {chunk.kind for chunk in chunks} == {"rows:stackoverflow.com"}
    assert len(chunks) <= 4
    assert all(len(chunk.data) < 9 << 20 and chunk.data.startswith(b"<row ") for chunk in chunks)
    assert data.endswith(b"".join(chunk.data for chunk in chunks))


def test_unpacking_waits_for_the_reader_and_ends_with_it(tmp_path: Path) -> None:
    data = many_rows(50_000, 1000)
    path = pack(tmp_path / "a.stackexchange.com.7z", {"Posts.xml": data}, filters=FILTERS["stored"])
    opened: list[BinaryIO] = []

    def watched(path: str) -> BinaryIO:
        opened.append(open_file(path))
        return opened[-1]

    (unit,) = READER.units(files(path), open_file)
    before = threading.active_count()
    chunks = READER.unpack(unit, watched)
    assert isinstance(next(iter(chunks)), Chunk)
    threading.Event().wait(0.3)
    assert opened[0].tell() < 16 << 20 < len(data)
    chunks.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert opened[0].closed


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _spoiled(data: bytes) -> bytes:
    return data[:5000] + bytes(b ^ 0x55 for b in data[5000:5050]) + data[5050:]


@pytest.mark.parametrize("spoil", [_cut, _spoiled, lambda data: b"7z" * 50, lambda data: b""])
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_damaged_archive(spoil: Callable[[bytes], bytes], filters: Any, tmp_path: Path) -> None:
    path = pack(tmp_path / "a.stackexchange.com.7z", {"Posts.xml": many_rows(300)}, filters=filters)
    path.write_bytes(spoil(path.read_bytes()))
    items = list(read_archive(path, tmp_path))
    wholes = [item for item in items if isinstance(item, Rejected) and item.is_whole_file]
    assert [item.reason for item in wholes] == ["damaged_7z"]
    assert wholes[0].detail


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.stackexchange.com.7z", {"Posts.xml": b"<posts>" + b" " * (65 << 20)},
                filters=FILTERS["lzma2"])  # fmt: skip
    assert path.stat().st_size < 100_000
    items = list(read_archive(path, tmp_path))
    assert rejects_of(items) == [("archive_bomb", True)]
    assert items[0].is_whole_file  # type: ignore[union-attr]


def test_other_archives(tmp_path: Path) -> None:
    empty = pack(tmp_path / "a.stackexchange.com.7z", {"Votes.xml": b"<votes />"})
    assert rejects_of(list(read_archive(empty, tmp_path))) == [("no_posts_xml", True)]
    locked = pack(tmp_path / "b.stackexchange.com.7z", {"Posts.xml": ODD_ROWS}, password="x")
    assert rejects_of(list(read_archive(locked, tmp_path))) == [("damaged_7z", True)]
    climbing = pack(tmp_path / "c.stackexchange.com.7z", {"d.stackexchange.com/Posts.xml": ODD_ROWS})
    assert {p["site"] for p in posts_of(list(read_archive(climbing, tmp_path))).values()} == {"d.stackexchange.com"}


def test_a_disk_that_fails_is_not_a_damaged_archive(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    (unit,) = READER.units([InputFile("a.stackexchange.com.7z", 100)], open_file)
    with pytest.raises(OSError, match="Input/output"):
        list(READER.unpack(unit, lambda path: Failing(b"x" * 100)))


# ------------------------------------------------------------------------------------------------------- the join


def test_a_question_with_its_answers() -> None:
    question = post(1, score=3, title="Why?", text="I ask.", accepted_answer_id=2)
    made = JOIN.assemble([question, post(2, 1, score=9, text="B"), post(3, 1, score=10, text="A")])
    assert made == [
        {
            "id": "a.stackexchange.com/1",
            "text": "Q: Why? I ask.\nA: A\nA: B",
            "site": "a.stackexchange.com",
            "question_id": 1,
            "url": "https://a.stackexchange.com/questions/1",
            "score": 3,
            "answer_scores": [10, 9],
            "tags": ["t"],
            "creation_date": "2010-01-01T00:00:00.000",
            "num_answers": 2,
            "accepted": True,
        }
    ]
    assert set(document_of(made)) == {"id", "text", *READER.COLUMNS}


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("redpajama", "Q: Why? I ask.\nA: A\nA: B"),
        ("pile", "Q:\n\nWhy?\n\nI ask.\n\nA:\n\nA\n\nA:\n\nB"),
        ("plain", "Why?\n\nI ask.\n\nA\n\nB"),
    ],
)
def test_layouts(layout: str, text: str) -> None:
    posts = [post(1, title="Why?", text="I ask."), post(2, 1, text="A"), post(3, 1, text="B")]
    assert document_of(AnswerJoin(layout=layout).assemble(posts))["text"] == text


@given(st.lists(st.integers(-3, 120), max_size=12), st.integers(0, 15), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_answers_by_score_then_accepted_then_earliest_in_any_order(
    scores: list[int], accepted: int, rng: random.Random
) -> None:
    """Scores are numbers (RedPajama and Data-Juicer sort them as text: 9 before 100)."""
    answers = [post(i, 1, score=score, text=str(i)) for i, score in enumerate(scores, start=2)]
    posts = [post(1, accepted_answer_id=accepted), *answers]
    rng.shuffle(posts)
    document = document_of(JOIN.assemble(posts))
    order = [int(line[3:]) for line in document["text"].split("\n")[1:]]
    assert order == sorted(order, key=lambda i: (-scores[i - 2], i != accepted, i))
    assert document["answer_scores"] == sorted(scores, reverse=True)
    assert document["accepted"] == (accepted in order)


def test_what_is_left_out_is_said() -> None:
    orphans = JOIN.assemble([post(2, 1), post(3, 1)])
    assert rejects_of(orphans) == [("answer_without_question", False)] * 2
    assert orphans[0].place == "a.stackexchange.com/2"  # type: ignore[union-attr]
    made = JOIN.assemble([post(1), post(2, 1, text=""), post(3, 1)])
    assert document_of(made)["num_answers"] == 1
    assert rejects_of(made) == [("empty_answer", False)]
    closed = [post(1, closed_date="2012-01-01"), post(2, 1)]
    assert len(JOIN.assemble(closed)) == 1
    assert rejects_of(AnswerJoin(keep_closed=False).assemble(closed)) == [("closed_question", False)] * 2
    assert document_of(JOIN.assemble([post(1)]))["text"] == "Q: title 1 text 1"
    assert rejects_of(AnswerJoin(keep_unanswered=False).assemble([post(1)])) == [("unanswered_question", False)]
    assert rejects_of(JOIN.assemble([post(1, title="", text="")])) == [("empty_question", False)]


def test_low_scores_on_request() -> None:
    posts = [post(1, accepted_answer_id=2), post(2, 1, score=-5), post(3, 1, score=2), post(4, 1, score=3)]
    made = AnswerJoin(min_answer_score=3).assemble(posts)
    assert document_of(made)["answer_scores"] == [3, -5]
    assert rejects_of(made) == [("low_score_answer", False)]


def test_a_site_that_was_read_from_two_dumps() -> None:
    old, new = post(2, 1, text="old"), post(2, 1, text="new", last_activity_date="2015-01-01T00:00:00.000")
    for posts in ([post(1), old, new], [new, post(1), old], [post(1), post(1), new, old, old]):
        made = JOIN.assemble(posts)
        assert document_of(made)["text"] == "Q: title 1 text 1\nA: new"
        assert rejects_of(made) == [("duplicate_post", False)] * (len(posts) - 2)


def test_ten_thousand_answers_stay_bounded() -> None:
    posts = [post(1, text=""), *(post(i, 1, score=i, text="x" * 3000) for i in range(2, 10_002))]
    made = JOIN.assemble(posts)
    document = document_of(made)
    assert document["num_answers"] == 3333
    assert document["answer_scores"][0] == 10_001
    assert len(document["text"]) < 10_020_000
    assert rejects_of(made) == [("question_too_long", False)] * (10_000 - 3333)


def test_the_largest_sites() -> None:
    num_posts = {f"s{i}.stackexchange.com": 1000 - i for i in range(40)} | {"meta.s0.stackexchange.com": 999}
    chosen = JOIN.choose_sites(num_posts)
    assert len(chosen) == 28
    assert {"s0.stackexchange.com", "meta.s0.stackexchange.com", "s26.stackexchange.com"} <= chosen
    assert "s27.stackexchange.com" not in chosen
    without = AnswerJoin(with_meta_sites=False).choose_sites(num_posts)
    assert without == {f"s{i}.stackexchange.com" for i in range(28)}
    assert AnswerJoin(sites=("b.com",)).choose_sites(num_posts) == {"b.com"}


@pytest.mark.parametrize("bad", [{"layout": "other"}, {"num_sites": 0}, {"max_text_chars": 0}])
def test_settings_that_make_no_sense(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AnswerJoin(**bad)


def test_the_source() -> None:
    assert SOURCE.name == "stack_exchange"
    assert isinstance(SOURCE.reader, Unpacker)
    assert SOURCE.join == "answers"
    assert SOURCE.join_settings == AnswerJoin()


# ------------------------------------------------------------------------------------------------------ real dumps


@pytest.mark.real
def test_real_archives_hold_what_the_plain_files_hold(corpus_data: Path, tmp_path: Path) -> None:
    archives = sorted(corpus_data.glob("stackexchange/wrapped-7z/*.7z"))
    assert len(archives) == 3
    for archive in archives:
        plain = corpus_data / "stackexchange" / archive.stem / "Posts.xml"
        units = StackExchangeReader(unit_bytes=100_000).units(files(plain), open_file)
        rows = [item for unit in units for item in READER.read(unit, open_file)]
        unpacked = list(read_archive(archive, tmp_path))
        assert posts_of(unpacked) == posts_of(rows)
        assert len(posts_of(rows)) > 400
        assert rejects_of(unpacked) == rejects_of(rows)


@pytest.mark.real
def test_real_dumps_lose_nothing(corpus_data: Path) -> None:
    paths = sorted(corpus_data.glob("stackexchange/*/Posts.xml"))
    num_rows = Counter[str]()
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for unit in StackExchangeReader(unit_bytes=300_000).units(files(*paths), open_file):
        for item in READER.read(unit, open_file):
            if isinstance(item, Rejected):
                num_rows[item.reason] += 1
            else:
                num_rows["post"] += 1
                groups.setdefault(JOIN.group_key(item.row), []).append(item.row)
    assert num_rows == {"post": 6257, "not_question_or_answer": 517}
    made = [item for group in groups.values() for item in JOIN.assemble(group)]
    documents = [item for item in made if isinstance(item, dict)]
    assert len({document["id"] for document in documents}) == len(documents) == 1818
    left_out = Counter(item.reason for item in made if isinstance(item, Rejected))
    num_kept = sum(1 + document["num_answers"] for document in documents)
    assert num_kept + left_out.total() == 6257
    assert set(left_out) == {"duplicate_post", "empty_answer"}
    assert left_out["empty_answer"] <= 6
    for document in documents:
        assert document["answer_scores"] == sorted(document["answer_scores"], reverse=True)


@pytest.mark.real
def test_the_judge_finds_nothing_lost(corpus_data: Path, tmp_path: Path) -> None:
    """Counted from the raw XML by a program that knows nothing of ours; one dump of each site."""
    paths = [
        p for p in sorted(corpus_data.glob("stackexchange/*/Posts.xml")) if p.parent.name != "ai.stackexchange.com"
    ]
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for unit in READER.units(files(*paths), open_file):
        for item in READER.read(unit, open_file):
            if isinstance(item, TableRow):
                groups.setdefault(JOIN.group_key(item.row), []).append(item.row)
    lines = [json.dumps(item) for group in groups.values() for item in JOIN.assemble(group) if isinstance(item, dict)]
    documents = tmp_path / "documents.jsonl"
    documents.write_text("\n".join(lines), "utf-8")
    judge = Path(__file__).parents[3] / "benchmarks/judges/stack_exchange.py"
    judged = subprocess.run([sys.executable, judge, documents, *paths], capture_output=True, text=True, check=False)
    figures = json.loads(judged.stdout)
    assert judged.returncode == 0, figures
    assert figures["questions"] == len(lines) > 1500
    assert figures["words"] > 900_000
    assert figures["share_of_words_kept"] > 0.9998
    assert figures["tags_left"] == figures["questions_lost"] == figures["answers_lost_or_out_of_order"] == 0
