"""Tests the report of a run. It is one page that needs no network, and no text from the web runs as code in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clean.batches import DROPPED_SCHEMA
from pipeline.report import write_report
from pipeline.report.__main__ import main

EVIL = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)> {{ 7 * 7 }} \"'&"


class Page(HTMLParser):
    """Parses a page. Holds its tags with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def stats(source: str, **more: Any) -> dict[str, Any]:
    stages = [{"stage": "rules", "in": 10, "kept": 7, "dropped": {"too_short": 3}, "bytes": {"in": 100, "kept": 70}}]
    return {
        "source": source, "documents": {"in": 10, "kept": 7, "dropped": 3}, "bytes": {"in": 100, "kept": 70},
        "lines": {"in": 20, "kept": 14}, "stages": stages, "records": {}, "bad_records": 0, "unreadable_files": 0,
        "tokens": None,
    } | more  # fmt: skip


def write_stats(out: Path, source: str, **more: Any) -> None:
    (out / "stats").mkdir(parents=True, exist_ok=True)
    (out / "stats" / f"{source}.json").write_text(json.dumps(stats(source, **more)))


def write_dropped(out: Path, source: str, texts: list[str | None]) -> None:
    folder = out / "dropped" / source
    folder.mkdir(parents=True)
    rows = [
        {
            "id": f"{EVIL}{n}",
            "source": source,
            "stage": "rules",
            "reason": "too_short",
            "detail": EVIL,
            "signals": [],
            "text": t,
        }
        for n, t in enumerate(texts)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=DROPPED_SCHEMA), folder / "part-00000-of-00001.parquet")


def test_texts_of_the_web_stay_texts(tmp_path: Path) -> None:
    write_stats(tmp_path, "books")
    write_dropped(tmp_path, "books", [EVIL, None])
    html = Path(write_report(str(tmp_path))).read_text("utf-8")
    page = Page(html)
    assert "evil.example" in html, "it is shown"
    assert not {"img", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    for script in re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL):
        assert "<script>alert" not in script
        assert not script.strip().startswith("alert")
    fetched = [a for _, a in page.tags if re.match(r"(?:https?:)?//", a.get("src") or a.get("href") or "")]
    assert not fetched, "it opens with no network"
    assert not re.findall(r"url\(\s*[\"']?(?:https?:)?//|@import", html)


def test_a_finished_run_s_numbers_are_on_it(small_done: Path) -> None:
    page = Page((small_done / "report" / "index.html").read_text("utf-8"))
    manifest = json.loads((small_done / "manifest.json").read_text())
    for source, line in manifest["sources"].items():
        found = json.loads((small_done / "stats" / f"{source}.json").read_text())
        assert source in page.text
        assert f"{line['tokens']:,}" in page.text
        for stage in found["stages"]:
            assert stage["stage"] in page.text
            assert all(reason in page.text for reason in stage["dropped"])
    assert "not_json" in page.text, "records that never became documents"
    assert f"{manifest['tokens']:,}" in page.text


def test_it_is_written_before_there_is_a_mixture(tmp_path: Path) -> None:
    write_stats(tmp_path, "books")
    assert "books" in Page(Path(write_report(str(tmp_path))).read_text()).text


def test_the_command_builds_it_again(small_done: Path, capsys: Any) -> None:
    page = small_done / "report" / "index.html"
    page.unlink()
    assert main([str(small_done)]) == 0
    assert str(page) in capsys.readouterr().out
    assert "books" in page.read_text("utf-8")


def test_the_command_wants_the_output_of_a_run(tmp_path: Path, capsys: Any) -> None:
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path} is not the output of a run")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
