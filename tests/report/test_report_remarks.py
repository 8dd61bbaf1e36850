"""Tests what the first screen remarks on: few documents, little text, stages that judged nothing, lost text."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixtures.config import recipe_of_config
from pipeline.report.against import against
from pipeline.report.build import render
from pipeline.report.collect import KEPT, Collected, collect
from pipeline.report.compare import count_rows, tokenizer_note
from pipeline.report.figures import mixture
from pipeline.report.judged import equal_scores, not_applied
from pipeline.report.limits import TITLES, limits_of
from pipeline.report.output_state import read_state
from pipeline.report.page_documents import samples_of
from pipeline.report.reasons import RECORDS
from pipeline.report.run_tables import recipe_name, tables
from pipeline.report.verdict import verdict
from pipeline.sources import SOURCES
from pipeline.sources.all_steps import UNPLACED
from pipeline.sources.optional_steps import OPTIONAL_STEPS

Make = Callable[..., Path]


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    found = json.loads(path.read_text())
    edit(found)
    path.write_text(json.dumps(found, default=str))


def wrong(out: Path, collected: Any = ()) -> list[str]:
    state = read_state(str(out))
    return [one.text for one in verdict(state, mixture(state), {}, collected)["wrong"]]


def test_few_documents_in_the_stream_are_named_although_there_are_many(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages, "books": pages})

    def many(manifest: dict[str, Any]) -> None:
        manifest["sources"]["books"] |= {"documents": 5, "available_documents": 1341, "epochs": 0.003138}
        manifest["sources"]["common_crawl"] |= {"documents": 500, "available_documents": 1341}

    change(out / "manifest.json", many)
    (found,) = [text for text in wrong(out) if "Few documents" in text]
    assert found == ("Few documents in the stream: books 5 of 1,341. The whole share of such a source is from these.")
    page = render(read_state(str(out)))
    assert 'data-label="epochs">0.0031<' in page
    assert "No document is held out for validation." in page


def test_a_tokenizer_of_little_text(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    assert not [text for text in wrong(out) if "tokenizer was trained" in text], "it is not known on how much"
    sample = {"texts": 250, "bytes": 1_062_373, "source_bytes": {"common_crawl": 1_062_373}}
    change(out / "manifest.json", lambda m: m["tokenizer"].update(trained=sample))
    (found,) = [text for text in wrong(out) if "tokenizer was trained" in text]
    assert found.startswith("The tokenizer was trained on 250 texts, 1.1 MB of text, less than 10 MB.")
    (models,) = [table for table in tables(read_state(str(out))) if table.title == "Models"]
    assert [row[3] for row in models.rows if row[0] == "tokenizer"] == ["250 texts, 1.1 MB of text"]
    change(out / "manifest.json", lambda m: m["tokenizer"]["trained"].update(bytes=10_000_000))
    assert not [text for text in wrong(out) if "tokenizer was trained" in text]


def test_a_language_that_is_written_byte_by_byte(make_run: Make, pages: Any) -> None:
    out = make_run({"wikipedia": pages})
    (source,) = read_state(str(out)).sources
    found = Collected(limits=[])
    found.tokenized_bytes = Counter({"bg": 1020, "en": 4000, "sr": 500})
    found.language_tokens = Counter({"bg": 1000, "en": 1000, "sr": 499})
    (text,) = [text for text in wrong(out, [(source, found)]) if "byte by byte" in text]
    assert "some text of wikipedia nearly byte by byte (bytes per token, by language: bg 1.02)" in text


def part_with(describe: dict[str, Any], signals: dict[str, float], number: int = 30) -> Any:
    kept = [describe["Kept"](f"k{n}", "a text of this page", "en", signals) for n in range(number)]
    return describe["Part"](kept)


def test_published_c4_is_not_shown_as_judged(make_run: Make, describe: dict[str, Any]) -> None:
    out = make_run({"c4": part_with(describe, {"num_chars": 900.0, "duplicate_lines": 0.0})}, name="published")
    state = read_state(str(out))
    (source,) = state.sources
    reason = "published C4 has already passed this rule"
    rules = ("c4_length", "c4_lines", "c4_sentences", "c4_english", "bad_words")
    assert not_applied(source, collect(state.layout, source)) == dict.fromkeys(rules, reason)
    page = render(state)
    assert page.count(f"not applied: {reason}") == len(rules)
    assert page.count('class="kept idle"') == len(rules)
    measured = {"num_chars": 900.0, "num_sentences": 5.0, "num_sentences_after_dedup": 5.0, "language_score": 0.9}
    out = make_run({"c4": part_with(describe, measured)}, name="wet")
    state = read_state(str(out))
    (source,) = state.sources
    assert not_applied(source, collect(state.layout, source)) == {"bad_words": "no list of words was given"}
    assert ">dropped none<" in render(state)


def test_a_step_without_its_tokenizer_is_not_shown_as_judged(make_run: Make, describe: dict[str, Any]) -> None:
    signals = {"num_stripped_chars": 9.0, "max_line_chars": 9.0, "mean_line_chars": 9.0, "alphanumeric_share": 0.9}
    state = read_state(str(make_run({"github": part_with(describe, signals)})))
    (source,) = state.sources
    assert not_applied(source, collect(state.layout, source)) == {"code_tokens": "no tokenizer was given"}


def test_a_stage_that_dropped_documents_was_applied(make_run: Make, pages: Any) -> None:
    """In an older output a stage may have dropped documents, although no signal says so."""
    state = read_state(str(make_run({"common_crawl": pages})))
    assert 'class="kept idle"' not in render(state).partition("tail_perplexity</button>")[0].rpartition("<tr")[2]


def test_scores_that_are_all_equal_decide_nothing(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    (source,) = read_state(str(out)).sources
    assert source.source is not None
    found = Collected(limits=[limit for step in source.source.steps for limit in limits_of(step, source.cutoffs)])
    found.values["reference_score"][KEPT] = [np.linspace(0.50001, 0.50002, 224)]
    (text,) = [text for text in wrong(out, [(source, found)]) if "decides nothing" in text]
    assert text == (
        "reference of common_crawl decides nothing: all 224 values of the reference score are equal (0.5; the limit is "
        "0.5)."
    )
    found.values["reference_score"][KEPT] = [np.linspace(0.4, 0.6, 224)]
    assert list(equal_scores(found)) == []
    found.values["reference_score"][KEPT] = [np.full(5, 0.5)]
    assert list(equal_scores(found)) == [], "five documents say nothing about a model"


def test_text_that_a_stage_cuts_is_named(make_run: Make, describe: dict[str, Any]) -> None:
    out = make_run({"common_crawl": part_with(describe, {}), "wikipedia": part_with(describe, {})})

    def cut(stats: dict[str, Any]) -> None:
        for row in stats["stages"]:
            if row["stage"] in ("line_dedup", "wikitext"):
                row["bytes"] = {"in": 1000, "kept": 183}

    for name in ("common_crawl", "wikipedia"):
        change(out / "stats" / f"{name}.json", cut)
    found = [text for text in wrong(out) if "of the text" in text]
    assert found == ["line_dedup removes 81.7 % of the text of common_crawl that reaches it (817 B of 1.0 kB)."]


def test_pages_without_text_are_named_if_they_are_many(make_run: Make, describe: dict[str, Any]) -> None:
    out = make_run({"common_crawl": part_with(describe, {})})
    change(out / "stats" / "common_crawl.json", lambda stats: stats.update(records={"no_content": 3}))
    assert not [text for text in wrong(out) if "no text" in text], "one in eleven"
    change(out / "stats" / "common_crawl.json", lambda stats: stats.update(records={"no_content": 10}))
    (text,) = [text for text in wrong(out) if "no text" in text]
    assert text.startswith("10 of 40 records of common_crawl have no text (25 %)")
    assert RECORDS["no_content"]


def test_records_that_became_no_document_stand_among_the_losses(make_run: Make, pages: Any) -> None:
    state = read_state(str(make_run({"common_crawl": pages, "books": pages})))
    assert state.sources[0].stats is not None
    state.sources[0].stats["records"] = {"truncated_gzip": 1187, "not_html": 2, "revisit": 1}
    said = verdict(state, None, {})["records"]
    total = 1190 + sum((state.sources[1].stats or {})["records"].values())
    assert said.startswith(f"Besides, {total:,} records of the input became no document (1,187 of common_crawl: trunc")
    assert "more)." in said


def test_a_run_is_compared_with_the_recipe_that_its_file_names(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})

    def named(record: dict[str, Any]) -> None:
        recipe = recipe_of_config({"recipe": "modern", "name": "mine"}, default="llama")
        record["settings"]["recipe"] = dataclasses.asdict(recipe)

    change(out / ".work" / "run.json", named)
    state = read_state(str(out))
    assert recipe_name(state) == "modern, on which mine builds"
    (settings,) = [table for table in tables(state) if table.title.startswith("Settings")]
    assert settings.note.startswith("Compared with the recipe modern as it is now.")
    assert not [row for row in settings.rows if row[0].startswith("mixture.")]
    assert "modern, on which mine builds" in render(state)
    change(out / ".work" / "run.json", lambda record: record["settings"]["recipe"].update(base="nowhere.yaml"))
    (settings,) = [table for table in tables(read_state(str(out))) if table.title.startswith("Settings")]
    assert "It is not known which recipe mine builds on" in settings.note


def test_the_length_of_a_text_that_is_not_stored_whole_is_not_made_up(make_run: Make, describe: dict[str, Any]) -> None:
    dropped = [describe["Dropped"](f"d{n}", "near_dedup", "near_duplicate", "k", text="x" * size)
               for n, size in enumerate((20_000, 19_999))]  # fmt: skip
    state = read_state(str(make_run({"books": describe["Part"]([describe["Kept"]("k", "y" * 30_000)], dropped)})))
    (source,) = state.sources
    found = collect(state.layout, source)
    docs = {doc["id"]: doc for doc in json.loads(samples_of([("books", found)], {}, budget_bytes=10**6).text)["docs"]}
    assert docs["d0"]["is_beginning"] is True
    assert "is_beginning" not in docs["d1"]
    assert (docs["k"]["size"], "is_beginning" in docs["k"]) == (30_000, False), "a kept text is stored whole"


def test_the_numbers_of_a_detail_are_short_on_the_page(make_run: Make, describe: dict[str, Any]) -> None:
    part = describe["Part"]([], [describe["Dropped"]("d", "min_length", "too_short", "0.2560606061", text="x")])
    page = render(read_state(str(make_run({"common_crawl": part}))))
    assert '"detail":"0.2561"' in page
    assert "0.2560606061" not in page


@pytest.mark.parametrize("step", [*(s for source in SOURCES.values() for s in source.steps), *UNPLACED,
                                  *OPTIONAL_STEPS.values()], ids=lambda step: step.NAME)  # fmt: skip
def test_every_limit_has_words(step: Any) -> None:
    """Without words, a sentence about the limit would be "Repeated 5 grams: over 0.15."."""
    assert [limit.signal for limit in limits_of(step, {"en": [1.0, 2.0]}) if limit.signal not in TITLES] == []


def test_cut_offs_are_not_credited_to_others() -> None:
    (step,) = [one for one in SOURCES["common_crawl"].steps if one.NAME == "perplexity"]
    assert all("the run's models" in limit.cite for limit in limits_of(step, {"en": [1.0, 2.0]}))


def test_a_comparison_says_what_other_tokens_mean(make_run: Make, describe: dict[str, Any]) -> None:
    before = make_run({"common_crawl": part_with(describe, {}, 100)}, name="before")
    after = make_run({"common_crawl": part_with(describe, {}, 50)}, name="after")

    def edit(manifest: dict[str, Any]) -> None:
        manifest["tokenizer"] |= {"sha256": "b" * 64, "vocab_size": 64_000}
        manifest["sources"]["common_crawl"]["epochs"] = 4.0

    assert tokenizer_note(read_state(str(before)), read_state(str(after))) == ""
    change(after / "manifest.json", edit)
    states = read_state(str(before)), read_state(str(after))
    sentences = against(*states)["sentences"]
    note = "The tokenizers differ (300 and 64,000 pieces), so numbers of tokens cannot be compared: compare the bytes."
    assert sentences[1] == note
    assert sentences[2] == "common_crawl: 50 % less text is kept; it is seen 4.00 times in the stream, 1.00 before."
    assert ("common_crawl", "tokens, of different tokenizers") in [row[:2] for row in count_rows(*states)]
