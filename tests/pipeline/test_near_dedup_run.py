"""Tests runs with a near dedup in the configuration. It is off by default. A run above the limit of removals stops,
unless a flag accepts this. The report shows the result.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small import CONFIG, Small, make, prose

from mixtures.inspect.__main__ import main as inspect
from pipeline.output.paths import Layout
from pipeline.settings.settings import parse
from pipeline.sources.min_hash_step import MinHashDedup


@pytest.fixture
def copied(tmp_path: Path) -> Small:
    """Returns the small corpus with three more copies of ten C4 pages. Each copy has a different last line."""
    small = make(tmp_path / "in")
    rows = [
        {
            "url": f"https://copy{copy}.example/{n}",
            "timestamp": "2019-04-25T12:57:54Z",
            "text": prose(f"page {n}", 90) + f"Seen as copy {'xyz'[copy]} here.\n",
        }
        for n in range(10)
        for copy in range(3)
    ]
    path = small.root / "c4" / "c4-train.00003-of-00004.json.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode(), mtime=0))
    return small


@pytest.mark.slow
def test_a_run_stops_above_a_ceiling_until_it_is_accepted(
    copied: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    config = CONFIG.replace("sources: {", "sources: {c4: {line_dedup: off, near_dedup: on}, ")
    copied.config.write_text(config + "dedup: {max_removed_share: 0.1, min_documents: 20}\n")
    assert copied.run(out) == 1
    said = capsys.readouterr().err
    assert "near_dedup removed 30 of 75 documents (40.0%) of the source, more than the ceiling of 10%" in said
    assert said.count(" kept; ") == 10
    assert "--accept-removal c4" in said
    layout = Layout(str(out))
    assert not Path(layout.marker("clean-c4")).exists()
    assert Path(layout.marker("clean-books")).exists()
    assert not (out / "manifest.json").exists()
    parts = {p: p.stat().st_mtime_ns for p in (out / "clean" / "c4").glob("*")}
    assert parts
    assert copied.run(out) == 1
    assert copied.run(out, "--accept-removal", "c4") == 0
    assert {p: p.stat().st_mtime_ns for p in (out / "clean" / "c4").glob("*")} == parts
    assert (out / "manifest.json").exists()
    assert copied.run(out) == 0  # it stays accepted

    rows = [row for path in (out / "dedup").glob("pairs-*") for row in pq.read_table(path).to_pylist()]
    assert len(rows) == 30
    capsys.readouterr()
    assert inspect([str(out), "--pair", "--id", rows[0]["removed_id"], "--max-chars", "5000"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("=== c4  near_dedup  overlap 0.")
    assert "[" in shown
    capsys.readouterr()
    assert inspect([str(out), "--pair", "--id", rows[0]["removed_id"], "--json"]) == 0
    (one,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert {key: one[key] for key in ("removed_id", "kept_id")} == {
        key: rows[0][key] for key in ("removed_id", "kept_id")
    }
    assert one["kept_text"]
    assert inspect([str(out), "--pair", "--source", "books"]) == 1
    assert inspect([str(out / "clean"), "--pair"]) == 2
    assert "--pair needs the output of a run" in capsys.readouterr().err


@pytest.mark.slow
def test_the_report_shows_what_was_removed(copied: Small, tmp_path: Path) -> None:
    copied.config.write_text(CONFIG.replace("sources: {", "sources: {c4: {line_dedup: off, near_dedup: on}, "))
    assert copied.run(tmp_path / "out", "--phase=clean") == 0
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert page.count("<h3>Near dedup</h3>") == 1
    shown = " ".join(page.partition("<h3>Near dedup</h3>")[2].partition("<h3>Distributions</h3>")[0].split())
    assert "30 of 75 documents (40.0 %) were removed" in shown
    stats = json.loads((tmp_path / "out" / "stats" / "c4.json").read_text())["near_dedup"]
    assert sum(stats["overlaps"].values()) == 30
    for low, number in stats["overlaps"].items():
        assert f">{low} to " in shown or low == "1.00"
        assert f">{number} ({100 * number / 30:.1f} %)<" in shown
    assert len(stats["largest_groups"]) == 10
    for group in stats["largest_groups"]:
        assert group["documents"] == 4
        for name in (group["kept"], *group["removed"]):
            assert f'<bdi class="id">{name}</bdi>' in shown
    cells = re.findall(r'rowheader">(\w+)</th><td [^>]*><bdi>([^<]*)</bdi></td>((?: <td [^>]*>[^<]*</td>)+)', shown)
    rows = {(kind, name): re.findall(r">([^<]+)</td>", rest) for kind, name, rest in cells}
    assert rows["source", "c4"] == ["75", "30", "40.0"]
    assert rows["language", "en"] == ["75", "30", "40.0"]
    hosts = {name: row for (kind, name), row in rows.items() if kind == "host"}
    assert hosts == {
        one["name"]: [str(one["documents"]), str(one["removed"]), f"{100 * one['removed'] / one['documents']:.1f}"]
        for one in stats["hosts"]
    }
    assert sum(int(row[1]) for row in hosts.values()) == 30


def test_the_modern_recipe_compares_the_pages_of_a_dump() -> None:
    steps = parse(["--config", "modern", "--input=common_crawl=a"]).sources["common_crawl"].steps
    names = [step.NAME for step in steps]
    assert names[5:8] == ["fineweb_quality", "near_dedup", "line_dedup"]
    assert isinstance(steps[6], MinHashDedup)
    assert steps[6].scope == "dump"
    settings = parse(["--config", "llama", "--input=common_crawl=a"])
    assert "near_dedup" not in [step.NAME for step in settings.sources["common_crawl"].steps]


def test_a_list_of_steps_names_it_anywhere(args: list[str]) -> None:
    steps = "[duplicate_id, near_dedup: {max_overlap: 0.7}, c4_length]"
    Path(args[1]).write_text(f"sources: {{c4: {{steps: {steps}, near_dedup: {{measure: jaccard}}}}}}\n")
    found = parse(args).sources["c4"].steps
    assert [step.NAME for step in found] == ["duplicate_id", "near_dedup", "c4_length"]
    assert found[1] == MinHashDedup(max_overlap=0.7, measure="jaccard")
    Path(args[1]).write_text("sources: {c4: {steps: [duplicate_id, near_dedup: {scope: nothing}]}}\n")
    with pytest.raises(ValueError, match="near_dedup: scope must be one of "):
        parse(args)


@pytest.fixture
def args(tmp_path: Path) -> list[str]:
    inputs = [f"--input={name}=a" for name in ("wikipedia", "c4", "github")]
    return ["--config", str(tmp_path / "c.yaml"), *inputs, "--output", str(tmp_path / "o")]


@pytest.mark.parametrize(
    "wrong", ["{max_overlap: 0.1}", "{measure: cosine}", "{num_perm: 1}", "{threshold: 1.5}", "{unknown: 1}"]
)
def test_wrong_settings_of_the_step_are_refused(args: list[str], wrong: str) -> None:
    Path(args[1]).write_text(f"sources: {{github: {{near_dedup: {wrong}}}}}\n")
    with pytest.raises(ValueError, match="near_dedup"):
        parse(args)


def test_a_wrong_ceiling_is_refused(args: list[str]) -> None:
    Path(args[1]).write_text("dedup: {max_removed_share: 2}\n")
    with pytest.raises(ValueError, match="max_removed_share"):
        parse(args)


def test_the_step_is_the_last_one_of_a_source_that_asks_for_it(args: list[str]) -> None:
    Path(args[1]).write_text("sources: {wikipedia: {near_dedup: on}, c4: {near_dedup: off}}\n")
    sources = parse(args).sources
    assert sources["wikipedia"].steps[-1].NAME == "near_dedup"
    assert [s.NAME for name in ("c4", "github") for s in sources[name].steps if s.NAME == "near_dedup"] == []
