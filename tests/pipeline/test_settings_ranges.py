"""Tests that shares and scores must be from 0 to 1. A percentage such as 80 would switch a step off, or make it drop
everything.
"""

from __future__ import annotations

import pytest

from pipeline.settings.source_settings import configured
from pipeline.sources import SOURCES


@pytest.mark.parametrize(
    ("source", "step", "name", "value"),
    [
        ("books", "near_dedup", "max_overlap", 90),
        ("books", "book_quality", "min_letter_share", 50),
        ("books", "detect_language", "min_score", 65),
        ("github", "code_quality", "min_alphanumeric_share", -0.1),
        ("common_crawl", "reference", "min_score", 25),
        ("c4", "bad_words", "drop_share", 100),
    ],
)
def test_a_percentage_is_refused(source: str, step: str, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{step}.*{name}") as error:
        configured(SOURCES[source], {step: {name: value}})
    assert "1" in str(error.value)
    (found,) = [one for one in configured(SOURCES[source], {step: {name: 0.5}}).steps if step == one.NAME]
    assert getattr(found, name) == 0.5


def test_the_message_says_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"max_overlap must be from 0 to 1, not 90 \(write 0\.9 for 90 %\)"):
        configured(SOURCES["books"], {"near_dedup": {"max_overlap": 90}})


@pytest.mark.parametrize(
    ("source", "settings", "where"),
    [
        ("common_crawl", {"language": {"min_score": 65}}, "language.min_score"),
        ("common_crawl", {"language": {"min_scores": {"en": 65}}}, "language.min_scores.en"),
        ("common_crawl", {"reference": {"min_score": 65.0}}, "reference.min_score"),
        ("c4", {"bad_words": {"drop_share": 65}}, "bad_words.drop_share"),
    ],
)
def test_steps_that_check_shares_themselves_say_it_as_the_others(
    source: str, settings: dict[str, object], where: str
) -> None:
    with pytest.raises(ValueError, match="must be from") as error:
        configured(SOURCES[source], settings)
    assert str(error.value) == f"sources.{source}.{where} must be from 0 to 1, not 65 (write 0.65 for 65 %)"


def test_a_step_is_named_once() -> None:
    with pytest.raises(ValueError, match="min_scores has") as error:
        configured(SOURCES["common_crawl"], {"language": {"min_scores": {"fr": 0.6}}})
    assert str(error.value) == "sources.common_crawl.language: min_scores has fr, which is not in languages"


def test_numbers_that_are_no_shares_may_be_larger() -> None:
    assert configured(SOURCES["github"], {"code_quality": {"max_mean_line_chars": 250.5}}).name == "github"
