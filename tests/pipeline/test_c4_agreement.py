"""Compares our C4 with C4's own builder, from WET files to the result: every page, its text and its split.

TensorFlow Datasets is not a part of this project. TFDS_REPO is the path of a checkout of tensorflow/datasets, or of an
unpacked wheel of ``tensorflow-datasets``. CORPUS_DATA is the folder of real pages.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib
import json
import os
import random
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import toy

from pipeline.models.find import find_models
from pipeline.settings.source_settings import configured
from pipeline.sources.c4 import SOURCE, url_key
from pipeline.tokenize.held_out import HeldOut

pytestmark = [pytest.mark.real, pytest.mark.slow]
BAD_WORDS = "gribble\nfamily secret\n  Capital\nañil\nc++\n"
"""A made-up list of bad words: a phrase, a word with capitals (which never matches), and characters beyond ASCII
letters.
"""
WITH_A_WORD = (
    "It is a Gribble, is it not?",
    "A family secret (gribbles) it is, no more.",
    "The AÑIL is a plant of Asia and more.",
    "He writes C++, and so does she.",
)

Page = tuple[str, str, str]
"""A page as (url, date, text)."""


@pytest.fixture(scope="module")
def peer() -> Iterator[ModuleType]:
    if not os.environ.get("TFDS_REPO"):
        pytest.skip("TFDS_REPO is not set: nothing to compare with (a checkout of tensorflow/datasets)")
    pytest.importorskip("langdetect", reason="C4 asks langdetect for the language")
    benchmarks = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, benchmarks)
    yield importlib.import_module("c4_peer")
    sys.path.remove(benchmarks)


def stamp(number: int) -> str:
    return f"2019-04-{1 + number % 28:02d}T{number // 28 % 24:02d}:{number // 672 % 60:02d}:00Z"


def real_texts(corpus_data: Path) -> list[str]:
    """Returns the texts of published C4 pages."""
    texts = []
    for path in sorted((corpus_data / "c4/wrapped").glob("*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    assert len(texts) > 500
    return texts


def pages_that_meet(texts: Sequence[str]) -> list[Page]:
    """Makes pages of real texts. They share lines, urls and splits in all combinations that matter to the rules.

    Every second page ends with some of twenty notices. So each notice is in dozens of pages, whose urls have or lack
    ``www.``, a final slash, https and tracking parameters. Some pages are fetched twice, with two spellings of their
    url. Some have a url of the validation split, contain a bad word, or consist only of notices.
    """
    rng = random.Random(5)
    notices = [f"This is the notice number {word} of the whole site." for word in ("one", "two", "three", "four")]
    notices += [f"Please read our {word} before you write to us." for word in ("rules", "terms", "hints", "letters")]
    notices += ['She said that it was "the end."', "  Sign up for the weekly letter of our paper today. ", "Why not?"]
    held_out = [url for n in range(60_000) if is_held_out(url := f"http://www.site{n}.example.org/held/{n}/")]
    assert len(held_out) > 30
    pages = []
    for number, text in enumerate(texts):
        scheme, www, slash = rng.choice(["http://", "https://"]), rng.choice(["", "www."]), rng.choice(["", "/"])
        tracking = rng.choice(["", "", "", "?utm_source=mail", "?ref=x", "?feed=rss&x=1", "?x=1&utm_source=y"])
        url = f"{scheme}{www}site{number}.example.org/a/{number}{slash}{tracking}"
        lines = text.split("\n")
        if number % 2 == 0:
            lines += [spelt(rng, notice) for notice in rng.sample(notices, rng.randint(1, 6))]
            rng.shuffle(lines)
        if number % 11 == 0:
            lines = rng.choices(notices, k=5)
        if number % 13 == 0:
            lines.append(rng.choice(WITH_A_WORD))
        if number % 17 == 0:
            url = held_out.pop()
        pages.append((url, stamp(number), "\n".join(lines)))
        if number % 19 == 0:
            other = url.replace("https://", "http://").replace("www.", "") if "www." in url else url + "/"
            pages.append((other, stamp(number + 1), "\n".join([*lines, "This line is in the newer state alone."])))
    rng.shuffle(pages)
    return pages


def spelt(rng: random.Random, line: str) -> str:
    return rng.choice([line, line.upper(), f" {line}", f"{line}[1]", f"[2]\x1f{line}"])


def is_held_out(url: str) -> bool:
    return int(hashlib.md5(url_key(url).encode()).hexdigest(), 16) % 1000 == 0


def write_wet(path: Path, pages: Sequence[Page]) -> None:
    with path.open("wb") as file:
        for number, (url, date, text) in enumerate(pages):
            block = (text + "\n").encode()
            head = (
                f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {url}\r\nWARC-Date: {date}\r\n"
                f"WARC-Record-ID: <urn:uuid:{number:08d}>\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(block)}\r\n\r\n"
            )
            file.write(gzip.compress(head.encode() + block + b"\r\n\r\n", 1, mtime=0))


def ours(wets: Path, bad_words: Path, out: Path) -> list[dict[str, Any]]:
    """Runs the whole clean phase with the original's language detector. Returns the documents, each with its split."""
    source = configured(SOURCE, {"c4_english": {"method": "langdetect"}})
    models = {"language": find_models(None)["language"], "bad_words": str(bad_words)}
    job = dataclasses.replace(toy.job_of(source, wets, out), models=models)
    toy.run_job(job)
    rows: list[dict[str, Any]] = toy.table(job.places.clean_dir)
    ids = pa.array([row["id"] for row in rows], pa.string())
    mask = HeldOut(share=Decimal("0.001")).mask("c4", ids, np.ones(len(rows)))
    return [{**row, "split": "validation" if is_held else "train"} for row, is_held in zip(rows, mask, strict=True)]


def compare(peer: ModuleType, wets: Path, folder: Path) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """Returns two sets of pages, ours and the original's. A page is (split, url, timestamp, text)."""
    bad_words = folder / "words.txt"
    bad_words.write_text(BAD_WORDS, "utf-8")
    (folder / "theirs").mkdir()
    original = peer.C4Original(os.environ["TFDS_REPO"])
    splits = original.run(sorted(map(str, wets.glob("*.gz"))), str(bad_words), folder / "theirs")
    theirs = {(split, row["url"], row["timestamp"], row["text"]) for split, rows in splits.items() for row in rows}
    assert len(theirs) == sum(map(len, splits.values()))
    names = ("split", "url", "timestamp", "text")
    return {tuple(row[name] for name in names) for row in ours(wets, bad_words, folder / "ours")}, theirs


def test_pages_that_share_lines_and_urls_come_out_as_c4s_own(
    peer: ModuleType, corpus_data: Path, tmp_path: Path
) -> None:
    pages = pages_that_meet(real_texts(corpus_data))
    wets = tmp_path / "wet"
    wets.mkdir()
    for number in range(3):
        write_wet(wets / f"{number}.warc.wet.gz", pages[number::3])
    mine, theirs = compare(peer, wets, tmp_path)
    assert mine == theirs
    by_split = [sum(row[0] == split for row in theirs) for split in ("train", "validation")]
    assert len(pages) > 700
    assert by_split[0] > 400
    assert by_split[1] > 20
    texts = dict(pages_by_url(pages))
    assert sum(row[3] != texts[row[1]] for row in theirs) > 200, "the rules take something out of most pages"


def pages_by_url(pages: Sequence[Page]) -> Iterator[tuple[str, str]]:
    yield from ((url, text) for url, _, text in pages)


def test_real_wet_files_come_out_as_c4s_own(peer: ModuleType, corpus_data: Path, tmp_path: Path) -> None:
    mine, theirs = compare(peer, corpus_data / "commoncrawl/wrapped/wet", tmp_path)
    assert mine == theirs
    assert len(theirs) > 60
