"""Tests how a dump is converted to posts: file names, every form of a row, any division into units, known faults of
other projects, and hostile XML.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.source import InputFile, Rejected, TableRow, Unit
from pipeline.sources.stack_exchange import rows as stack_exchange_rows
from pipeline.sources.stack_exchange.reader import StackExchangeReader
from pipeline.sources.stack_exchange.rows import RowBlock, parse_rows, row_blocks

READER = StackExchangeReader()
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


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("num_cut", [0, 1, 2])
def test_a_file_in_utf16_is_read_once_however_it_is_cut(codec: str, num_cut: int) -> None:
    data = ODD_ROWS.decode().replace("</posts>", "").encode(codec)
    data = data[: len(data) - num_cut]
    units = StackExchangeReader(unit_bytes=300).units(
        [InputFile("a.stackexchange.com/Posts.xml", len(data))], open_file
    )
    assert len(units) > 5
    items = [item for unit in units for item in READER.read(unit, lambda path: io.BytesIO(data))]
    plain = read_bytes_as(data.decode(codec, "ignore").encode())
    assert posts_of(items) == posts_of(plain)
    assert rejects_of(items) == rejects_of(plain)
    assert len(posts_of(items)) > 5


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
    location, _, offset = bad.location.rpartition("@")
    assert location == "a.stackexchange.com/Posts.xml"
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
        for block in row_blocks(io.BytesIO(ODD_ROWS), location="p", start=start, end=end, read_bytes=size):
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
        ("<posts><row Id='1' /></posts>".encode("utf-16"), ["row_without_type"], []),
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
    blocks = list(row_blocks(io.BytesIO(data), location="p", read_bytes=1000))
    assert [b.reason for b in blocks if isinstance(b, Rejected)] == ["row_too_long"]
    assert [b.data for b in blocks if isinstance(b, RowBlock)] == [b'<row Id="2" PostTypeId="1" /></posts>']
