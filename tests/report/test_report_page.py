"""Tests the report: it shows the numbers and texts of the run, and no text from the input becomes markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.report.__main__ import main
from pipeline.report.build import MAX_PAGE_BYTES, render, write_report
from pipeline.report.charts import Bar, Histogram, LimitLine, bars, histogram
from pipeline.report.collect import collect
from pipeline.report.output_state import read_state
from pipeline.report.page_documents import script_json
from pipeline.report.recount import recount
from pipeline.report.set_option import parse_changes
from pipeline.tokenize.encode_parts import TOKEN_FILE

Make = Callable[..., Path]
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    '<img src=x onerror="window.hacked = 3">',
    "<a href='javascript:window.hacked = 4'>click</a>",
    "<!-- <script> ]]> </textarea></style>",
    "{{ 7 * 7 }} {% raw %} ${1}",
    "\u2028\u2029\u202e right to left \x00 \x1b[31m",
    "\"quotes\" 'both' & ampersands",
]


class Tags(HTMLParser):
    """Collects all elements of a page that could run or load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            if name.startswith("on"):
                self.handlers.append(name)
            if name in ("src", "href", "action", "srcset", "data") and not (value or "").startswith("#"):
                self.loads.append(f"{tag} {name}={value}")


def samples_in(page: str) -> dict[str, Any]:
    match = re.search(r'id="samples-data">(.*?)</script>', page, re.DOTALL)
    assert match
    return json.loads(match[1])


def test_the_page_shows_the_numbers_of_the_run(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    page = Path(write_report(str(out))).read_text()
    assert "600" in page, "tokens"
    cell = r'<td role="cell" data-label="{}">(\d+)</td>\s*'
    row = r'rowheader">(\w+)</th>(?:(?!</tr>).)*?' + cell.format("in") + cell.format("kept")
    rows = re.findall(row, page, re.DOTALL)
    assert rows[0] == ("min_length", "20", "14")
    assert {r[0]: r[2] for r in rows}["perplexity"] == "6"
    assert "too_short</button> <b>6</b> (30 %)" in page
    assert "<b>truncated_gzip</b> 1" in page
    assert page.count("✓ holds") == 5
    assert "DOES NOT HOLD" not in page
    assert "20 read = 6 kept + 14 dropped" in page
    assert "dropped/ holds 17 rows = 14 documents + 3 records" in page
    assert "tail_perplexity &gt;= 520 (en)" in page
    assert "Perplexity (en): at least 520." in page


def test_the_source_that_limits_the_mixture_is_marked(make_run: Make, pages: Any) -> None:
    """The recipe llama.yaml allows 1.10 epochs of common_crawl and 2.23 epochs of books."""
    out = make_run({"common_crawl": pages, "books": pages})
    assert "No source limits the length." in render(read_state(str(out)))
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sources"]["common_crawl"] |= {"tokens": 660, "epochs": 1.1}
    path.write_text(json.dumps(manifest))
    page = render(read_state(str(out)))
    said = (
        "common_crawl (1.1 of at most 1.1 epochs) limits the length. Every other source could give at least 2.23 times"
    )
    assert said in " ".join(page.split())
    (row,) = re.findall(r'<tr role="row" class="limits">.*?</tr>', page, re.DOTALL)
    assert "<bdi>common_crawl</bdi>" in row
    assert page.count("limits the length</span>") == 1


def test_numbers_that_do_not_add_up_are_shouted(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    path = out / "stats" / "common_crawl.json"
    stats = json.loads(path.read_text())
    stats["stages"][0]["kept"] += 1
    path.write_text(json.dumps(stats))
    page = render(read_state(str(out)))
    assert page.count("DOES NOT HOLD") == 2, "the stage itself, and the stage behind it"
    assert ">NO</span>" in page
    assert "The numbers of min_length of common_crawl do not add up." in page


def test_a_file_that_lost_rows_is_seen(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    (file,) = (out / "clean" / "common_crawl").iterdir()
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)
    page = render(read_state(str(out)))
    assert "✗ DOES NOT HOLD</span> clean/ holds 5 documents" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_document_holds_stays_text(make_run: Make, describe: dict[str, Any], text: str) -> None:
    part = describe["Part"](
        [describe["Kept"](f"id {text}", text, text, {"num_chars": 400.0})],
        [describe["Dropped"](text, "min_length", "too_short", text, {"num_chars": 20.0}, text)],
        {text: 1},
        stages=("min_length", text),
    )
    out = make_run({"common_crawl": part, text.replace("/", "|").replace("\0", ""): part})
    page = render(read_state(str(out)))
    tags = Tags(page)
    # Only the data and the script are allowed: no image, no frame, no external link, no handler.
    assert tags.names.count("script") == 2
    assert not {"img", "iframe", "object", "embed", "link", "base", "audio", "video"} & set(tags.names)
    assert tags.loads == []
    assert tags.handlers == []
    docs = samples_in(page)["docs"]
    assert any(doc["text"] == text for doc in docs), "the whole text, as it is"


def test_what_a_near_dedup_names_stays_text(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    path = out / "stats" / "common_crawl.json"
    stats = json.loads(path.read_text())
    stats["stages"].append({"stage": "near_dedup", "in": 6, "kept": 0, "dropped": {"near_duplicate": 6}, "bytes": {}})
    stats["near_dedup"] = {
        "overlaps": {"0.80": 2, "1.00": 4},
        "largest_groups": [{"documents": 5, "kept": text, "removed": HOSTILE[:3]} for text in HOSTILE],
        "hosts": [{"name": text, "documents": 8, "removed": 2} for text in HOSTILE],
    }
    path.write_text(json.dumps(stats))
    page = render(read_state(str(out)))
    tags = Tags(page)
    assert tags.names.count("script") == 2
    assert not {"img", "iframe"} & set(tags.names)
    assert (tags.loads, tags.handlers) == ([], [])
    assert page.count("and 1 more</li>") == len(HOSTILE)
    assert page.count('<td role="cell" data-label="removed %">25.0</td>') == len(HOSTILE)
    assert "6 of 6 documents (100.0 %) were removed" in page
    assert "2 (33.3 %)" in page
    del stats["near_dedup"]
    path.write_text(json.dumps(stats))
    assert "<h3>Near dedup</h3>" not in render(read_state(str(out)))


def test_the_page_s_own_script_is_the_only_one_that_may_run(make_run: Make, pages: Any) -> None:
    import base64
    import hashlib

    page = render(read_state(str(make_run({"common_crawl": pages}))))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy[1]


def test_kept_ones_nearest_to_the_limit_stand_beside(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    data = samples_in(render(read_state(str(out))))
    groups = {g["reason"]: g for g in data["groups"]}
    short = groups["too_short"]
    assert [data["docs"][i]["id"] for i in short["dropped"]] == [f"s{n}" for n in (5, 4, 3, 2, 1, 0)]
    assert [data["docs"][i]["id"] for i in short["kept"]][:2] == ["k0", "k1"]
    assert short["beside"] == "kept, nearest to the limit"
    tail = groups["tail_perplexity"]
    assert tail["limit"] == "tail_perplexity >= 520 (en)"
    assert data["docs"][tail["kept"][0]]["id"] == "k5"
    assert data["docs"][tail["dropped"][0]] == {
        "id": "t0", "language": "en", "measured": "perplexity 600", "value": 600.0, "text": "Odd page 0.", "size": 11,
    }  # fmt: skip
    assert groups["other_language"]["beside"] == "kept, at random"
    assert data["docs"][groups["other_language"]["dropped"][0]]["language"] == "de"


def test_beside_a_duplicate_stands_the_copy_that_was_kept(make_run: Make, describe: dict[str, Any]) -> None:
    kept = [describe["Kept"]("a", "The copy."), describe["Kept"]("b", "Another.")]
    twin = describe["Dropped"]("c", "duplicate_digest", "duplicate_digest", "a", {}, "The copy.")
    book = describe["Dropped"]("d", "near_dedup", "near_duplicate", "b", {"num_words": 9.0, "overlap": 0.9512}, "Anoth")
    out = make_run({"common_crawl": describe["Part"](kept, [twin]), "books": describe["Part"](kept, [book])})
    state = read_state(str(out))
    data = samples_in(render(state))
    beside = {g["reason"]: [data["docs"][i]["id"] for i in g["kept"]] for g in data["groups"]}
    assert beside == {"duplicate_digest": ["a"], "near_duplicate": ["b"]}
    assert all(g["paired"] for g in data["groups"])
    found = collect(state.layout, state.source("books"))
    assert found.of("overlap", "near_dedup: near_duplicate").tolist() == [0.9512]


def test_an_output_whose_dropped_rows_have_no_language_is_shown(make_run: Make, pages: Any) -> None:
    """Outputs of version 0.1.0 do not have the column ``language``."""
    out = make_run({"common_crawl": pages})
    for part in (out / "dropped" / "common_crawl").iterdir():
        pq.write_table(pq.read_table(part).drop_columns(["language"]), part)
    state = read_state(str(out))
    data = samples_in(render(state))
    (german,) = [g for g in data["groups"] if g["reason"] == "other_language"]
    assert ["language" in data["docs"][i] for i in german["dropped"]] == [False, False]
    changes = parse_changes(state, ["common_crawl.language.languages=[en, de]"])["common_crawl"]
    assert recount(state, "common_crawl", changes).unknown_dropped == {"language": 2}


def test_ten_thousand_samples_stay_under_five_megabytes(make_run: Make, describe: dict[str, Any]) -> None:
    out = make_run({"common_crawl": many(describe, 10_000, "<b>&\u2028" * 400)})
    page = render(read_state(str(out)))
    assert len(page.encode()) < MAX_PAGE_BYTES
    data = samples_in(page)
    assert len(data["groups"]) == 100
    assert all(len(g["dropped"]) >= 3 for g in data["groups"])


def many(describe: dict[str, Any], number: int, text: str) -> Any:
    dropped = [
        describe["Dropped"](
            f"d{n}", "min_length", f"reason_{n % 100}", str(n), {"num_chars": float(n % 300)}, f"{n} {text}"
        )
        for n in range(number)
    ]
    return describe["Part"]([describe["Kept"]("k", "kept", "en", {"num_chars": 300.0})], dropped)


def test_a_large_output_is_sampled_and_says_so(make_run: Make, describe: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    kept = [
        describe["Kept"](f"k{n}", "x" * 200, "en", {"num_chars": float(v)})
        for n, v in enumerate(rng.integers(300, 9000, 4000))
    ]
    out = make_run({"common_crawl": describe["Part"](kept, num_parts=40)})
    state = read_state(str(out))
    stored = sum(p.stat().st_size for p in (out / "clean" / "common_crawl").iterdir())
    found = collect(state.layout, state.source("common_crawl"), budget_bytes=stored // 5)
    assert found.clean.num_files == 40
    assert not found.clean.is_all
    assert 0 < found.clean.num_docs <= 16 * 100
    assert abs(np.median(found.of("num_chars", "")) - 4650) < 700, "a fair sample"
    page = render(state, sample_bytes=stored // 5)
    assert re.search(r"a sample of [\d,]+ rows of clean/, evenly out of 40 files", page)


def test_charts_are_the_page_s_own_drawings() -> None:
    data = Histogram(
        "a <b>", np.array([1.0, 2.0]), np.array([5.0]), np.empty(0), [LimitLine(3.0, "$x_ <script> < 3", "< 3")]
    )
    drawn = [histogram(data), histogram(data), bars([Bar("<i>$\\frac$", 1.0, "a & b\x07", mark=2.0)], alt='"<x>"')]
    for svg in drawn:
        assert svg.startswith("<svg ")
        assert "<script" not in svg.replace("&lt;script", "")
        assert "http-equiv" not in svg
        assert 'role="img"' in svg
        assert "#0102" not in svg, "no placeholder colour is left"
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in drawn]
    assert ids[0] & ids[1] == set(), "ids are each drawing's own"
    assert "var(--limit)" in drawn[0]
    assert "&lt;i&gt;$\\frac$" in drawn[2]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.0],
        [5.0] * 10,
        [0.5, 0.7],
        [-3.0, 4.0],
        [0.0, 1e9],
        [1.0, 2.0, 3.0, 1e6],
        [float(n) for n in range(50)],
        [1e-12, 1.0],
    ],
)
def test_any_distribution_can_be_drawn(values: list[float]) -> None:
    for limits in (
        [],
        [LimitLine(7.0, "limit < 7")],
        [LimitLine(0.0, "empty == 0"), LimitLine(1e5, "too_long > 100000")],
    ):
        array = np.array(values)
        svg = histogram(Histogram("x", array, np.empty(0), array[:1], limits))
        assert "nan" not in svg.lower().replace("distribution", "")
        assert all(line.label.split()[0] in svg for line in limits)


def test_a_yes_or_no_is_no_histogram(make_run: Make, describe: dict[str, Any]) -> None:
    kept = [describe["Kept"](f"k{n}", "x", "en", {"is_disambiguation": float(n % 3 == 0)}) for n in range(9)]
    fell = [describe["Dropped"]("d", "duplicate_id", "duplicate_id", "k1", {"is_disambiguation": 1.0}, "x")]
    page = render(read_state(str(make_run({"wikipedia": describe["Part"](kept, fell)}))))
    chart = page[page.index("<figcaption>disambiguation pages") :]
    drawn = re.findall(r"<text [^>]*>([^<]+)</text>", chart[: chart.index("</svg>")])
    assert {"no, kept", "yes, kept", "yes, dropped", "6", "3", "1"} == set(drawn)


def test_bytes_a_token_by_source(make_run: Make, pages: Any) -> None:
    """The numbers of tokens come from the token files. These exist as long as ``.work`` is kept."""
    out = make_run({"common_crawl": pages, "books": pages})
    assert "Bytes per token, by source" not in render(read_state(str(out))), "no tokens are known"
    schema = pa.schema({"doc_id": pa.string(), "input_ids": pa.list_(pa.uint16())})
    for name, num_tokens in (("common_crawl", 10), ("books", 20)):
        rows = [{"doc_id": k.id, "input_ids": [1] * num_tokens} for k in pages.kept]
        path = Path(read_state(str(out)).layout.tokens(name)) / TOKEN_FILE.format(0)
        path.parent.mkdir(parents=True)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_table(pa.Table.from_pylist(rows, schema))
    page = render(read_state(str(out)))
    chart = page[page.index("Bytes per token, by source") :]
    drawn = re.findall(r"<text [^>]*>([^<]+)</text>", chart[: chart.index("</svg>")])
    each = sum(len(k.text) for k in pages.kept) / len(pages.kept)
    assert set(drawn) == {"common_crawl", "books", f"{each / 10:.2f}", f"{each / 20:.2f}"}


def test_data_inside_a_script_cannot_end_it() -> None:
    for text in HOSTILE:
        packed = script_json([text])
        assert "<" not in packed
        assert "\u2028" not in packed
        assert json.loads(packed) == [text]


def test_the_command_prints_the_path(make_run: Make, pages: Any, capsys: pytest.CaptureFixture[str]) -> None:
    out = make_run({"common_crawl": pages})
    assert main([str(out)]) == 0
    assert capsys.readouterr().out.strip() == f"{out}/report/index.html"
    assert (out / "report" / "index.html").is_file()
