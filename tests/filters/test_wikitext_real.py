"""The quality gate, on real pages, counted by a judge that imports nothing of ours."""

from __future__ import annotations

import importlib.util
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from filters.wikitext.page import wikitext_to_text
from filters.wikitext.wiki_names import language_of_wiki, syntax

MAX_LEFTOVER_SHARE = 0.01
MIN_MEDIAN_KEPT = 0.97
NUM_LANGUAGES = 13


@pytest.fixture(scope="module")
def judge() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "judges" / "wikipedia.py"
    spec = importlib.util.spec_from_file_location("judge_of_wikipedia", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def counts(corpus_data: Path, judge: ModuleType) -> dict[str, Any]:
    counts: dict[str, Any] = defaultdict(judge.Count)
    for dump in sorted((corpus_data / "wikipedia" / "wrapped-dev").glob("*.bz2")):
        wiki = re.match("[a-z]+", dump.name)
        assert wiki is not None
        language = language_of_wiki(wiki[0].removesuffix("wiki"))
        for _, title, wikitext in judge.raw_pages(dump):
            text = wikitext_to_text(wikitext, names=syntax(language), title=title)
            judge.judge_page(counts[language], title, wikitext, text)
    return counts


@pytest.mark.real
def test_every_language_keeps_its_words_and_leaves_no_markup(counts: dict[str, Any]) -> None:
    assert len(counts) >= NUM_LANGUAGES
    num_pages = sum(count.num_pages for count in counts.values())
    assert num_pages >= 140
    leftover = [(language, title) for language, count in counts.items() for title in count.with_leftovers]
    assert len(leftover) / num_pages < MAX_LEFTOVER_SHARE, leftover
    junk = [(language, title) for language, count in counts.items() for title in count.with_junk]
    assert len(junk) / num_pages < MAX_LEFTOVER_SHARE, junk
    medians = {language: statistics.median(count.kept) for language, count in counts.items()}
    assert min(medians.values()) >= MIN_MEDIAN_KEPT, medians


def test_the_judge_sees_what_is_wrong(judge: ModuleType) -> None:
    end = "that grows on trees in all of Europe, and has long been known there to all who live near."
    wikitext, good = f"The [[pear]] is a fruit {{{{x|of}}}} {end}", f"The pear is a fruit {end}"
    assert judge.kept_share(wikitext, good) == 1
    assert judge.kept_share(wikitext, good.replace("pear", "").replace("fruit", "")) < 0.95
    assert judge.kept_share("Too short.", "") is None
    assert judge.leftovers("a {{b", "a") == ["{{"]
    assert judge.leftovers("a {{b", "<nowiki>{{b</nowiki>") == []
    assert judge.junk("a\n| b\nc 200px thumb|d") == ["|", "200px", "thumb|"]
