"""Tests the quality of converted real pages. The judges that count the faults import nothing of this project."""

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


MAX_LOST_PER_10_000_WORDS = 1.0


def load(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "judges" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"judge_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def judge() -> ModuleType:
    return load("wikipedia")


@pytest.fixture(scope="module")
def template_judge() -> ModuleType:
    return load("wikipedia_templates")


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


@pytest.mark.real
def test_templates_in_sentences_keep_their_words(
    corpus_data: Path, judge: ModuleType, template_judge: ModuleType
) -> None:
    counts: dict[str, Any] = defaultdict(template_judge.TemplateCount)
    for dump in sorted((corpus_data / "wikipedia" / "wrapped-dev").glob("*.bz2")):
        wiki = re.match("[a-z]+", dump.name)
        assert wiki is not None
        language = language_of_wiki(wiki[0].removesuffix("wiki"))
        for _, title, wikitext in judge.raw_pages(dump):
            text = wikitext_to_text(wikitext, names=syntax(language), title=title)
            template_judge.judge_templates(counts[language], language, wikitext, text)
    assert len(counts) >= NUM_LANGUAGES
    assert sum(count.num_uses - count.num_not_judged for count in counts.values()) > 500
    for language, count in counts.items():
        assert 10_000 * count.num_lost_words < MAX_LOST_PER_10_000_WORDS * count.num_words, (language, count.examples)


@pytest.mark.parametrize(
    ("wikitext", "text", "lost"),
    [
        ("The tower is {{convert|5|km|mi}} from the sea.", "The tower is 5 km from the sea.", {}),
        ("The tower is {{convert|5|km|mi}} from the sea.", "The tower is from the sea.", {"convert": 1}),
        ("The tower is old{{sfn|A|1999}} and so is the sea.", "The tower is old and so is the sea.", {}),
        ("The tower, {{a|x y}}, {{b|z}}, is by the sea.", "The tower, x y, is by the sea.", {"b": 1}),
        ("The tower is by the {{a|{{b|sea}}}}.", "The tower is by the.", {"a": 1}),
        ("The tower is by the sea.\n{{a|x}}\n{|\n|{{b|y}}\n|}", "The tower is by the sea.", {}),
        ("The tower {{a|x}} is by the sea.", "Nothing of it.", None),
    ],
)
def test_the_template_judge_sees_what_is_lost(
    template_judge: ModuleType, wikitext: str, text: str, lost: dict[str, int] | None
) -> None:
    count = template_judge.TemplateCount()
    template_judge.judge_templates(count, "en", wikitext, text)
    assert count.num_not_judged == (1 if lost is None else 0)
    assert dict(count.lost) == (lost or {})


def test_the_judge_sees_what_is_wrong(judge: ModuleType) -> None:
    end = "that grows on trees in all of Europe, and has long been known there to all who live near."
    wikitext, good = f"The [[pear]] is a fruit {{{{x|of}}}} {end}", f"The pear is a fruit {end}"
    assert judge.kept_share(wikitext, good) == 1
    assert judge.kept_share(wikitext, good.replace("pear", "").replace("fruit", "")) < 0.95
    assert judge.kept_share("Too short.", "") is None
    assert judge.leftovers("a {{b", "a") == ["{{"]
    assert judge.leftovers("a {{b", "<nowiki>{{b</nowiki>") == []
    assert judge.junk("a\n| b\nc 200px thumb|d") == ["|", "200px", "thumb|"]
