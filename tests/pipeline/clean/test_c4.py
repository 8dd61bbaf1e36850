"""Tests C4 in the whole clean phase, from WET files and from published JSON: every reason, and choices that the
original code makes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import toy

from pipeline.models.find import find_models
from pipeline.sources.c4 import SOURCE, split_hash, url_key
from pipeline.tokenize.held_out import HeldOut

SHARED = "This notice stands on every page of the whole site."
OWN = "The {0} was built of stone in the old days. It has a tower and a gate. Nobody lives in the {0} any more."
GERMAN = "Das Haus steht am Ende der Straße und ist alt. Niemand wohnt darin seit vielen Jahren. Es regnet hinein."

Page = tuple[str, str, str]
"""A page as (url, day in April 2019, text)."""

PAGES: Sequence[Page] = (
    ("http://www.a.org/castle?utm_source=x", "20", OWN.format("older castle")),
    ("https://a.org/castle/", "22", "Menu\n" + OWN.format("castle") + "[1]\n" + SHARED),
    ("http://b.org/mill", "21", SHARED.upper() + "\n" + OWN.format("mill") + "\n" + OWN.format("mill")),
    ("http://c.org/barn", "21", "  " + SHARED + "\nIt is a barn and nothing else. There is no more to say."),
    ("http://d0.org/copy", "21", OWN.format("castle") + "\n" + SHARED),
    ("http://e.org/de", "21", GERMAN),
    ("http://f.org/bad", "21", OWN.format("gribble")),
    ("http://g.org/long", "21", "x" * 190_001),
    ("http://h.org/lorem", "21", "Here is Lorem ipsum and nothing else.\n" + OWN.format("h")),
    ("http://i.org/code", "21", "Here is a { and nothing else at all.\n" + OWN.format("i")),
    ("http://j.org/short", "21", "One line is all there is."),
)
NEWEST = SHARED + "\nthe newest { of its url, no rule is applied twice"
PUBLISHED = (
    {"url": "http://a.org/castle", "timestamp": "2019-04-21T00:00:00Z", "text": "An older state of it, as published."},
    {"url": "http://p.org/1", "timestamp": "2019-04-21T00:00:00Z", "text": "the older of its url"},
    {"url": "http://p.org/1", "timestamp": "2019-04-25T00:00:00Z", "text": NEWEST},
    {"timestamp": "2019-04-25T00:00:00Z", "text": "a row without url"},
)  # fmt: skip


def record(kind: str, url: str, day: str, text: str) -> bytes:
    block = text.encode()
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2019-04-{day}T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{hashlib.md5((url + day).encode()).hexdigest()}>\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n")


def write_wet(path: Path, pages: Sequence[Page]) -> None:
    path.write_bytes(b"".join(record("conversion", *page) for page in pages))


def run(tmp_path: Path, name: str, order: Sequence[int], num_files: int) -> tuple[dict[str, Any], Any]:
    inputs = tmp_path / f"in-{name}"
    inputs.mkdir()
    for number in range(num_files):
        write_wet(inputs / f"{number}.warc.wet.gz", [PAGES[i] for i in order[number::num_files]])
    write_wet(inputs / "again.warc.wet.gz", [PAGES[2]])  # a record read twice is one document
    (inputs / "c4.json").write_text("".join(json.dumps(row) + "\n" for row in PUBLISHED))
    words = tmp_path / f"{name}.txt"
    words.write_text("gribble\n")
    job = toy.job_of(SOURCE, inputs, tmp_path / name)
    job = replace(job, models={"language": find_models(None)["language"], "bad_words": str(words)})
    return toy.run_job(job), job


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any]:
    return run(tmp_path_factory.mktemp("c4"), "out", range(len(PAGES)), 2)


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_every_page_goes_for_its_own_reason(done: tuple[dict[str, Any], Any]) -> None:
    stats, job = done
    dropped = {(r["id"].partition("@")[0], r["reason"]): r for r in toy.table(job.places.dropped_dir)}
    assert set(dropped) == {
        ("http://b.org/mill", "duplicate_id"),
        ("http://www.a.org/castle?utm_source=x", "duplicate_url"),
        ("http://a.org/castle", "duplicate_url"),
        ("http://p.org/1", "duplicate_url"),
        ("http://c.org/barn", "too_few_sentences_after_dedup"),
        ("http://d0.org/copy", "no_lines_left"),
        ("http://e.org/de", "other_language"),
        ("http://f.org/bad", "bad_word"),
        ("http://g.org/long", "too_long"),
        ("http://h.org/lorem", "lorem_ipsum"),
        ("http://i.org/code", "curly_bracket"),
        ("http://j.org/short", "too_few_sentences"),
    }
    details = {key: row["detail"] for key, row in dropped.items()}
    newest = "https://a.org/castle/@2019-04-22T00:00:00Z"
    assert details["http://www.a.org/castle?utm_source=x", "duplicate_url"] == newest
    assert details["http://a.org/castle", "duplicate_url"] == newest
    assert details["http://f.org/bad", "bad_word"] == "gribble"
    assert details["http://c.org/barn", "too_few_sentences_after_dedup"] == "2"
    assert dict(dropped["http://c.org/barn", "too_few_sentences_after_dedup"]["signals"])["num_sentences"] == 3.0
    assert stats["documents"] == {"in": len(PAGES) + 1 + len(PUBLISHED), "kept": 4, "dropped": len(dropped)}


def test_a_line_stays_where_the_md5_of_the_url_is_smallest(done: tuple[dict[str, Any], Any]) -> None:
    texts = {r["url"]: r["text"] for r in toy.table(done[1].places.clean_dir)}
    holders = [url for url, _, text in PAGES[1:] if SHARED.lower() in text.lower()]
    assert min((md5(url), url) for url in holders)[1] == "https://a.org/castle/", "the url as it came decides"
    assert texts == {
        "https://a.org/castle/": OWN.format("castle") + "\n" + SHARED,
        "http://b.org/mill": OWN.format("mill"),
        "http://p.org/1": NEWEST,
        None: "a row without url",
    }


def test_sentences_before_and_after_stand_with_the_page(done: tuple[dict[str, Any], Any]) -> None:
    signals = {r["url"]: dict(r["signals"]) for r in toy.table(done[1].places.clean_dir)}
    mill = signals["http://b.org/mill"]
    assert (mill["num_sentences"], mill["num_sentences_after_dedup"], mill["duplicate_lines"]) == (3.0, 3.0, 2.0)
    assert not {"num_sentences", "num_lines_kept"} & set(signals["http://p.org/1"])


def test_neither_order_nor_files_decide(done: tuple[dict[str, Any], Any], tmp_path: Path) -> None:
    _, other = run(tmp_path, "other", range(len(PAGES) - 1, -1, -1), 1)
    assert toy.table(other.places.clean_dir) == toy.table(done[1].places.clean_dir)


def test_a_thousandth_held_out_is_the_originals_validation_split() -> None:
    urls = [f"https://www.example.com/{number}/" for number in range(20_000)]
    ids = pa.array([f"{url}@2019-04-25T12:57:54Z" for url in urls])
    mask = HeldOut(share=Decimal("0.001")).mask("c4", ids, np.ones(len(ids)))
    held = {url for url, is_held in zip(urls, mask, strict=True) if is_held}
    assert held == {url for url in urls if int(md5(url_key(url)), 16) % 1000 == 0}
    assert 5 < len(held) < 40
    half = HeldOut(share=Decimal("0.0005")).mask("c4", ids, np.ones(len(ids)))
    assert 0 < half.sum() < mask.sum()
    assert not (half & ~mask).any()
    assert split_hash("sha256:ab") == split_hash("sha256:ab@")
