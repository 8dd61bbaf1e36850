"""Tests the first screen of the report. It describes the result of a run in words, and all words agree with its
numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.report.__main__ import main
from pipeline.report.build import render
from pipeline.report.figures import mixture
from pipeline.report.funnel import funnel, overview
from pipeline.report.output_state import read_state
from pipeline.report.verdict import BAD, GOOD, LOOK, verdict

Make = Callable[..., Path]


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def said(out: Path) -> dict[str, Any]:
    state = read_state(str(out))
    return verdict(state, mixture(state), {})


def texts(remarks: list[Any]) -> list[tuple[str, str]]:
    return [(one.tone, one.text) for one in remarks]


def test_a_mixture_that_came_out_as_asked(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages, "books": pages})
    record = out / ".work" / "run.json"
    settings = json.loads(record.read_text())["settings"]
    change(record, settings={**settings, "tokens": 1200})
    assert texts(said(out)["mixture"]) == [
        (GOOD, "The mixture came out as asked: every source has its share of the tokens."),
        (GOOD, "It has the length that --tokens asks for: 1,200 tokens."),
        (GOOD, "No source limits the length."),
    ]
    change(record, settings={**settings, "tokens": 5000})
    found = texts(said(out)["mixture"])
    assert found[:2] == [
        (GOOD, "Every source has its share of the tokens."),
        (LOOK, "It is shorter than asked: 1,200 tokens of the 5,000 that --tokens asks for (24 %)."),
    ]


def test_a_share_that_is_wrong_is_named_and_a_token_of_rounding_is_not(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages, "books": pages})
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["sources"]["books"]["share"] = 50.0004
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert said(out)["mixture"][0].tone == GOOD
    assert "50.0004" not in render(read_state(str(out)))
    manifest["sources"]["books"]["share"] = 48.0
    (out / "manifest.json").write_text(json.dumps(manifest))
    (first, *_) = texts(said(out)["mixture"])
    assert first == (BAD, "The shares are not those of the recipe: books 48 % instead of 50 %.")


def test_the_largest_losses_of_all_sources(make_run: Make, describe: dict[str, Any], pages: Any) -> None:
    many = [describe["Dropped"](f"x{n}", "min_length", "too_short", "9", {"num_chars": 9.0}) for n in range(30)]
    large = describe["Part"](pages.kept, many)
    other = replace(pages, stages=("min_length", "language", "perplexity"))
    found = said(make_run({"common_crawl": large, "c4": other}))["losses"]
    assert [(one.source, one.reason, one.count) for one in found] == [
        ("common_crawl", "too_short", 30),
        ("c4", "too_short", 6),
        ("c4", "tail_perplexity", 6),
        ("c4", "other_language", 2),
    ]
    assert round(found[0].share, 1) == 83.3
    assert found[0].sentence == "Characters per document: under 300."


def test_a_step_that_drops_nearly_everything(make_run: Make, describe: dict[str, Any]) -> None:
    def part(num_kept: int, num_dropped: int) -> Any:
        kept = [describe["Kept"](f"k{n}", "x") for n in range(num_kept)]
        return describe["Part"](
            kept, [describe["Dropped"](f"d{n}", "min_length", "too_short") for n in range(num_dropped)]
        )

    found = said(make_run({"common_crawl": part(1, 99)}, name="a"))["wrong"]
    text = "min_length drops 99 % of the documents of common_crawl that reach it (99 of 100)."
    assert (BAD, text) in texts(found)
    found = texts(said(make_run({"common_crawl": part(40, 60)}, name="b"))["wrong"])
    assert [tone for tone, text in found if text.startswith("min_length drops 60 %")] == [LOOK]
    found = texts(said(make_run({"common_crawl": part(50, 50)}, name="c"))["wrong"])
    assert not [text for _, text in found if "drops" in text], "half is not more than half"
    found = texts(said(make_run({"common_crawl": part(0, 5)}, name="d"))["wrong"])
    assert (BAD, "common_crawl kept none of its 5 documents.") in found
    assert not [text for _, text in found if "drops" in text], "five documents say nothing about a step"


def test_a_ceiling_that_is_near(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    stats = out / "stats" / "common_crawl.json"
    change(stats, bad_records=499)
    assert not [one for one in said(out)["wrong"] if "records are bad" in one.text]
    change(stats, bad_records=500)
    (found,) = [one.text for one in said(out)["wrong"] if "records are bad" in one.text]
    assert found == "common_crawl: 500 records are bad of 520; the run stops at more than 1,000 and 1 %."


def test_a_model_that_is_tiny(make_run: Make, pages: Any, tmp_path: Path) -> None:
    out = make_run({"common_crawl": pages})
    model = tmp_path / "reference.ftz"
    model.write_bytes(b"x" * 5000)
    manifest = json.loads((out / "manifest.json").read_text())
    used = {"reference": {"name": "reference.ftz", "sha256": "0" * 64}}
    (out / "manifest.json").write_text(json.dumps({**manifest, "models": used}))
    state = read_state(str(out))
    found = verdict(state, mixture(state), {"reference": str(model)})["wrong"]
    assert [one.text for one in found if "tiny" in one.text] == [
        "The model of reference is tiny (reference.ftz, 5.0 kB): its limits say little about other text."
    ]


def test_models_are_judged_by_what_they_were_trained_on(make_run: Make, pages: Any) -> None:
    """The record of the training counts, not the size of the file. A model without a record has an unknown amount of
    training text.
    """
    out = make_run({"common_crawl": pages})
    manifest = json.loads((out / "manifest.json").read_text())
    large = {"name": "en.arpa.bin", "bytes": 5_000_000_000}
    table = {"name": "cutoff.csv", "language": "en", "bytes": 900, "documents": 150, "date": "2026-01-02"}

    def remarks(*files: dict[str, Any], key: str = "perplexity") -> list[str]:
        used = {key: {"name": " ".join(one["name"] for one in files), "sha256": "0" * 64, "files": list(files)}}
        (out / "manifest.json").write_text(json.dumps({**manifest, "models": used}))
        return [one.text for one in said(out)["wrong"] if "The model of" in one.text or "the model of" in one.text]

    assert remarks(large, table) == [
        "The model of perplexity is tiny: the cut-offs of en rest on 150 documents, so the share of pages below a "
        "cut-off is known to ± 8.0 points. Its limits say little about other text."
    ]
    page = render(read_state(str(out)))
    assert "150 documents, 2026-01-02" in page
    assert "cutoff.csv: en" in page
    assert remarks(large, {**table, "documents": 1000}) == [
        "It is unknown how much text the model of perplexity was trained on: nothing beside en.arpa.bin says so."
    ]
    published = {**large, "url": "https://models.example/en.arpa.bin"}
    assert remarks(published, {**table, "documents": 1000}) == []
    assert "published at https://models.example/en.arpa.bin" in render(read_state(str(out)))
    (few,) = remarks({"name": "reference.bin", "bytes": 5_000_000_000, "positives": 12, "negatives": 9,
                      "text_bytes": 9, "date": "2026-01-02"}, key="reference")  # fmt: skip
    assert "reference.bin was trained on 12 positive pages, fewer than 1,000" in few


def test_documents_that_left_the_shards_are_told(make_run: Make, pages: Any) -> None:
    out = make_run({"common_crawl": pages})
    entry = {"when": "2026-11-29T09:00:00+00:00", "why": "asked <b>", "documents": 2, "tokens": {"common_crawl": 1234},
             "validation_tokens": {"common_crawl": 6}, "ids": "forgotten/00001.txt"}  # fmt: skip
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["sources"]["common_crawl"]["share"] = 99.0
    change(out / "manifest.json", forgotten=[entry], sources=manifest["sources"])
    page = render(read_state(str(out)))
    assert "2 documents with 1,240 tokens left the shards on 2026-11-29 (asked &lt;b&gt;)." in page
    assert "losses and documents below are those of the run before" in page
    assert "The shares are no longer those of the recipe, because documents left the shards." in page
    assert "limits the length" not in page


def test_the_funnel_draws_what_is_lost_by_reason(make_run: Make, pages: Any) -> None:
    state = read_state(str(make_run({"common_crawl": pages, "c4": pages})))
    found = funnel(state, state.sources[0])
    assert found is not None
    rows = {row["stage"]: row for row in found["rows"]}
    assert (rows["min_length"]["kept_width"], rows["min_length"]["parts"][0]["share"]) == (70.0, 30.0)
    assert rows["perplexity"]["kept_width"] == 30.0, "all bars have the scale of what was read"
    assert [(p["name"], p["share"]) for p in rows["perplexity"]["parts"]] == [("tail_perplexity", 30.0)]
    for row in found["rows"]:
        assert row["explained"].rule
        assert row["explained"].doc == "docs/recipe.md#common_crawl"
        assert all(part["sentence"] for part in row["parts"])
    bars = overview(state.sources)
    assert [bar["name"] for bar in bars] == ["common_crawl", "c4"], "the order of the table of sources"
    assert round(bars[0]["kept_share"] + sum(part["share"] for part in bars[0]["parts"]), 6) == 100
    for one, following in pairwise(bars[0]["parts"]):
        assert one["shade"] != following["shade"]


def test_two_runs_are_compared_on_the_page(make_run: Make, describe: dict[str, Any], pages: Any, capsys: Any) -> None:
    fewer = describe["Part"](pages.kept, pages.dropped[:-3], pages.records, cutoffs=pages.cutoffs)
    before = make_run({"common_crawl": pages, "c4": pages}, name="before")
    after = make_run({"common_crawl": fewer, "c4": pages}, name="<after>")
    assert main([str(before), str(after), "--page"]) == 0
    out = capsys.readouterr().out
    assert out.strip().endswith("index.html")
    page = (after / "report" / "index.html").read_text()
    section = page[page.index('<section id="against"') : page.index('<section id="mixture"')]
    assert "tail_perplexity of common_crawl: 1 fewer dropped." in " ".join(section.split()).replace(
        "perplexity: tail", "tail"
    )
    assert "other_language of common_crawl: 2 fewer dropped." in section.replace("language: other", "other")
    assert "Documents kept: 12, as before." in section
    assert section.count('class="bar"') == 2, "c4 is the same in both"
    assert "for the same reasons: c4." in section
    assert "perplexity: tail_perplexity 6 → 5" in section
    assert str(before) in section
    assert main([str(after)]) == 0
    assert 'id="against"' not in (after / "report" / "index.html").read_text(), "only when asked for"
    assert main([str(after), "--page"]) == 2
    assert "give two folders" in capsys.readouterr().err
    assert main([str(after), str(after), "--page"]) == 2


def test_a_length_that_nobody_asked_for_is_not_missed(make_run: Make, pages: Any) -> None:
    state = read_state(str(make_run({"common_crawl": pages, "books": pages})))
    assert state.recipe is not None
    rows = mixture(state)
    assert any("It is shorter than asked" in text for _, text in texts(verdict(state, rows, {})["mixture"]))
    state = replace(state, recipe=replace(state.recipe, is_length_inherited=True))
    assert not any("shorter" in text for _, text in texts(verdict(state, rows, {})["mixture"]))
    assert rows is not None
    full = {**rows, "rows": [{**row, "room": 1, "limits": True} for row in rows["rows"]]}
    assert (GOOD, "Every source is used as often as it may be.") in texts(verdict(state, full, {})["mixture"])
