"""Tests recounts under other settings, stage by stage, and settings for which the recorded signals are not enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.__main__ import main
from pipeline.report.limits import limits_of
from pipeline.report.output_state import read_state
from pipeline.report.recount import Recount, recount, scaled
from pipeline.report.set_option import parse_changes
from pipeline.report.terminal import lines_of
from pipeline.sources import SOURCES

Make = Callable[..., Path]


def recounted(out: Path, *settings: str, share: float = 1.0) -> Recount:
    state = read_state(str(out))
    ((name, changes),) = parse_changes(state, settings).items()
    return scaled(recount(state, name, changes, share=share))


def test_cut_offs_of_perplexity(make_run: Make, pages: Any) -> None:
    """The kept pages have perplexities from 400 to 405. Pages from 600 to 605 were dropped as tail. The middle ends at
    520.
    """
    out = make_run({"common_crawl": pages})
    lower = recounted(out, "common_crawl.perplexity.middle=403")
    assert lower.fall == {("perplexity", "tail_perplexity"): 3}
    assert (lower.least, lower.likely, lower.most) == (3, 3, 3)
    higher = recounted(out, "common_crawl.perplexity.middle=603")
    assert higher.come_back == {"perplexity": 3}
    # The classifier follows perplexity. It kept all documents that reached it.
    assert (higher.least, higher.likely, higher.most) == (6, 9, 9)
    head = recounted(out, "common_crawl.perplexity.keep=[head]", "common_crawl.perplexity.head=402.5")
    assert head.fall == {("perplexity", "middle_perplexity"): 3}
    assert head.least == 3


def test_without_token_files_documents_stand_for_them(
    make_run: Make, pages: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without token files, tokens are estimated from documents. The 6 documents have 600 tokens, and half of them
    stay.
    """
    out = make_run({"common_crawl": pages})
    assert main([str(out), "--set", "common_crawl.perplexity.middle=403"]) == 0
    said = capsys.readouterr().out
    assert "unknown" in said
    assert "300" in next(line for line in said.splitlines() if line.startswith("common_crawl") and "67" in line)


def test_a_reason_may_change_without_a_document_coming_back(make_run: Make, pages: Any) -> None:
    found = recounted(make_run({"common_crawl": pages}), "common_crawl.min_length.min_chars=950")
    assert found.other_reason == {("min_length", "too_short"): 2}, "the two German pages, of 900 characters"
    assert found.least == found.most == 6


def test_the_last_stage_s_documents_surely_come_back(make_run: Make, pages: Any, describe: dict[str, Any]) -> None:
    signals = {"reference_score": 0.3, "perplexity": 400.0, "language_score": 0.9, "num_chars": 999.0}
    fell = describe["Dropped"]("r", "reference", "not_reference", "0.3", signals, "text")
    pages.dropped = [*pages.dropped, fell]
    out = make_run({"common_crawl": pages})
    assert recounted(out, "common_crawl.reference.min_score=0.25").least == 7
    assert recounted(out, "common_crawl.reference=off").least == 7
    assert recounted(out, "common_crawl.reference.min_score=0.63").fall == {("reference", "not_reference"): 3}


def test_languages(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    german = recounted(out, "common_crawl.language.languages=[en, de]")
    assert german.come_back == {"language": 2}
    assert (german.least, german.most) == (6, 8)
    assert german.likely == pytest.approx(6 + 2 * 6 / 12), "half of what the perplexity saw passed it"
    only = recounted(out, "common_crawl.language.languages=[fr]")
    assert only.fall == {("language", "other_language"): 6}
    fallen = {("language", "low_language_score"): 6}
    assert recounted(out, "common_crawl.language.min_score=0.95").fall == fallen
    assert recounted(out, "common_crawl.language.min_scores={en: 0.95}").fall == fallen
    settings = ("common_crawl.language.min_score=0.95", "common_crawl.language.min_scores={en: 0.2}")
    assert not recounted(out, *settings).fall


def c4_pages(describe: dict[str, Any]) -> Any:
    kept = [describe["Kept"](f"k{n}", "x", "en", {"num_sentences": 3.0, "num_chars": 99.0}) for n in range(4)]
    published = [describe["Kept"](f"p{n}", "x", "en", {"num_chars": 99.0}) for n in range(2)]
    short = [
        describe["Dropped"](f"s{n}", "c4_lines", "too_few_sentences", str(n), {"num_sentences": float(n)}, "x")
        for n in range(3)
    ]
    lorem = [describe["Dropped"]("l", "c4_lines", "lorem_ipsum", None, {"num_lines_kept": 3.0}, "x")]
    return describe["Part"]([*kept, *published], [*short, *lorem])


def test_a_count_that_stopped_at_its_limit(make_run: Make, describe: dict[str, Any]) -> None:
    out = make_run({"c4": c4_pages(describe)})
    higher = recounted(out, "c4.min_sentences=4")
    assert higher.unknown_kept == {"c4_lines": 4}, "three sentences, or more: nobody counted"
    assert higher.still_kept == 2, "what was published is not judged"
    assert (higher.least, higher.most) == (2, 6)
    assert any("a count that stopped at its limit" in line for line in lines_of(higher))
    lower = recounted(out, "c4.c4_lines.min_sentences=1")
    assert lower.come_back == {"c4_lines": 2}
    assert lower.other_reason == {}, "lorem ipsum stays what it was"


def test_a_count_that_did_not_stop_is_told(make_run: Make, describe: dict[str, Any]) -> None:
    part = c4_pages(describe)
    part.settings = {"c4_lines": {"is_counted_whole": True}}
    for number, kept in enumerate(part.kept[:4]):
        kept.signals["num_sentences"] = 3.0 + number
    found = recounted(make_run({"c4": part}), "c4.c4_lines.min_sentences=5")
    assert found.fall == {("c4_lines", "too_few_sentences"): 2}
    assert not found.unknown_kept


def test_overlaps_of_books(make_run: Make, describe: dict[str, Any]) -> None:
    fell = [
        describe["Dropped"](
            f"b{n}", "near_dedup", "near_duplicate", "k", {"num_words": 9.0, "overlap": 0.9 + n / 100}, "x"
        )
        for n in range(1, 6)
    ]
    stayed = [
        describe["Kept"](f"k{n}", "x", "en", {"num_words": 9999.0} | ({"overlap": share} if share else {}))
        for n, share in enumerate((0.0, 0.85, 0.6))
    ]
    out = make_run({"books": describe["Part"](stayed, fell)})
    higher = recounted(out, "books.near_dedup.max_overlap=0.925")
    assert higher.come_back == {"near_dedup": 2}
    assert higher.least == 5, "no stage follows it"
    lower = recounted(out, "books.near_dedup.max_overlap=0.8")
    assert lower.unknown_kept == {"near_dedup": 1}, "which of a pair would go is not written down"
    lowest = recounted(out, "books.near_dedup.max_overlap=0.4")
    assert lowest.unknown_kept == {"near_dedup": 3}, "what overlaps less than half was not written down"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("c4.bad_words.drop_share=0.5", "bad_words: what drop_share would change was not counted"),
        ("c4.c4_lines.min_words_per_line=3", "c4_lines: what min_words_per_line would change was not counted"),
        ("c4.line_dedup=off", "line_dedup edits lines too"),
        ("c4.line_dedup.keep=ccnet", "line_dedup judges by no number that is kept"),
    ],
)
def test_what_no_signal_knows_is_said(make_run: Make, describe: dict[str, Any], setting: str, said: str) -> None:
    found = recounted(make_run({"c4": c4_pages(describe)}), setting)
    assert any(said in line for line in lines_of(found))
    assert (found.kept_before, found.least, found.unknown_kept.total(), found.likely) == (6, 0, 6, 6), "none is sure"


def test_what_decides_before_the_first_step_is_refused(make_run: Make, describe: dict[str, Any]) -> None:
    """New settings of a join are refused. A join comes before the first step, so no signal shows what it would do."""
    out = make_run({"stack_exchange": c4_pages(describe)})
    with pytest.raises(ValueError, match="join: this decides before the first step"):
        recounted(out, "stack_exchange.join.keep_unanswered=false")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("nonsense", "write SOURCE.STEP.FIELD=VALUE"),
        ("=5", "write SOURCE.STEP.FIELD=VALUE"),
        (".=1", "the run has no source ; it has: common_crawl"),
        ("commön.x=1", "the run has no source commön; it has: common_crawl"),
        ("common_crawl.nothing=1", "no step of common_crawl has nothing; its steps: min_length,"),
        ("common_crawl.min_length.nothing=1", "min_length.nothing is not a setting; there are: min_chars"),
        ("common_crawl.min_length.min_chars=lots", "must be a whole number, not 'lots'"),
        ("common_crawl.min_length.min_chars=", "must be a whole number, not None"),
        ("common_crawl.min_length.min_chars=[1", "'[1' is not a value"),
        ("common_crawl.min_length.min_chars=!!python/object:os.system {}", "is not a value"),
        ("common_crawl.min_length.min_chars.deep=3", "write min_length.FIELD=VALUE, or min_length=off"),
        ("common_crawl.min_length=3", "write min_length.FIELD=VALUE, or min_length=off"),
        ("common_crawl.language.min_score=.nan", "must be a number, not nan"),
        ("common_crawl.perplexity.middle=high", "a perplexity must be a number, not 'high'"),
        ("common_crawl.perplexity.middle=.nan", "a perplexity must be a number, not nan"),
        ("common_crawl.perplexity.middle.xx=1", "no cut-offs of xx; there are: en"),
        ("common_crawl.perplexity.head=999", "the head of en would end after the middle: 999 and 520"),
    ],
)
def test_nonsense_is_one_line(
    make_run: Make, pages: Any, capsys: pytest.CaptureFixture[str], setting: str, said: str
) -> None:
    assert main([str(make_run({"common_crawl": pages})), "--set", setting]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert said in line
    assert line.count("\n") == 1


def test_both_ends_of_the_middle_may_move_in_any_order(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    ends = ["common_crawl.perplexity.head=700", "common_crawl.perplexity.middle=900"]
    state = read_state(str(out))
    for settings in (ends, ends[::-1]):
        (change,) = parse_changes(state, settings)["common_crawl"]
        assert change.cutoffs_after == {"en": [700.0, 900.0]}


def test_a_share_of_the_parts_is_scaled_up(make_run: Make, describe: dict[str, Any]) -> None:
    kept = [describe["Kept"](f"k{n}", "x", "en", {"num_words": float(n)}) for n in range(400)]
    out = make_run({"books": describe["Part"](kept, num_parts=20)})
    whole = recounted(out, "books.book_quality.min_num_words=100")
    part = recounted(out, "books.book_quality.min_num_words=100", share=0.25)
    assert whole.fall.total() == 100
    assert part.share_read == 0.25
    assert abs(part.fall.total() - 100) <= 8
    assert part.kept_before == 400
    assert any("scaled up from 25.0 %" in line for line in lines_of(part))


def test_every_source_s_rules_are_known_as_limits() -> None:
    """Compares the signals that have limits with a list. If a step gets a new rule, the report shows it without a
    change of the report's code.
    """
    cutoffs = {"en": (3.0, 5.0)}
    found = {
        name: {limit.signal for step in source.steps for limit in limits_of(step, cutoffs)}
        for name, source in SOURCES.items()
    }
    assert found["common_crawl"] == {
        "num_chars", "num_chars_after_dedup", "language_score", "perplexity", "reference_score",
    }  # fmt: skip
    assert {"num_chars", "num_sentences", "num_sentences_after_dedup", "language_score"} <= found["c4"]
    assert {"max_line_chars", "mean_line_chars", "alphanumeric_share", "alphabetic_per_token"} <= found["github"]
    assert {"body_words", "longest_line_words"} <= found["wikipedia"]
    assert {"num_words", "letter_share", "overlap"} <= found["books"]
