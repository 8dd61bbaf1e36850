"""Tests a run of all seven sources on real input, from published files to verified shards."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixtures.recipe import load_recipe
from mixtures.verify.__main__ import main as verify
from pipeline.run import main
from pipeline.settings.bundled_sample import models_folder

pytestmark = [pytest.mark.real, pytest.mark.slow]

CONFIG = """
recipe: llama
mixture: {missing: error, max_epochs: 4}
tokenizer: {vocab_size: 8000}
shards: {target_bytes: 1_000_000}
"""
INPUTS = {
    "common_crawl": ["commoncrawl/wrapped/wet/*.warc.wet.gz"],
    "c4": ["c4/wrapped/*.json.gz"],
    "github": ["github/dev"],
    "wikipedia": ["wikipedia/wrapped-dev/[c-i]*wiki-*.xml.bz2"],
    "books": ["books/11/*.txt", "books/11/old/*.txt", "books/345/*.txt", "books/1342/*.txt", "books/1342/old/*.txt"],
    "arxiv": ["arxiv/src-dev/*.tar"],
    "stack_exchange": ["stackexchange/wrapped-7z/*.7z", "stackexchange/conlang.meta.stackexchange.com/Posts.xml"],
}


@pytest.fixture(scope="module")
def out(corpus_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / "run.yaml").write_text(CONFIG)
    globs = [f"--input={source}={corpus_data / glob}" for source, all_globs in INPUTS.items() for glob in all_globs]
    args = [f"--config={folder}/run.yaml", *globs, f"--models={models_folder()}", "--direct_num_workers=1"]
    assert main([*args, f"--output={folder}/out"]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found


def test_every_source_is_in_it(manifest: dict[str, Any]) -> None:
    assert set(manifest["sources"]) == set(INPUTS) == set(load_recipe("llama").weights)
    assert all(line["tokens"] > 0 and line["available_tokens"] > 0 for line in manifest["sources"].values())
    assert set(manifest["inputs"]) == set(INPUTS)
    assert set(manifest["models"]) == {"language", "perplexity", "reference"}


def test_shares_are_dealt_by_largest_remainder(out: Path, manifest: dict[str, Any]) -> None:
    """Counts the tokens in the shards, and compares them with a second, simple computation of the shares."""
    total = manifest["tokens"]
    weights = load_recipe("llama").weights
    exact = {source: total * weight / 100 for source, weight in weights.items()}
    dealt = {source: int(share) for source, share in exact.items()}
    left = total - sum(dealt.values())
    for source in sorted(exact, key=lambda s: exact[s] - dealt[s], reverse=True)[:left]:
        dealt[source] += 1
    found: Counter[str] = Counter()
    for path in sorted((out / "shards").iterdir()):
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
            for source, ids in zip(table["source"].to_pylist(), table["input_ids"], strict=True):
                found[source] += len(ids)
    assert found == {source: line["tokens"] for source, line in manifest["sources"].items()}
    assert sum(found.values()) == total
    for source, tokens in found.items():
        assert abs(tokens - exact[source]) < Decimal(1)
    # It is not defined which of two equal remainders gets the last token.
    remainders = sorted(exact[s] - int(exact[s]) for s in exact)
    if len(set(remainders)) == len(remainders):
        assert found == dealt


def test_epochs_are_within_their_limit_and_one_source_is_at_it(manifest: dict[str, Any]) -> None:
    epochs = {source: line["tokens"] / line["available_tokens"] for source, line in manifest["sources"].items()}
    assert max(epochs.values()) <= 4
    assert max(epochs.values()) > 3.999, "the longest stream in which no source passes its limit"


@pytest.mark.parametrize("source", INPUTS)
def test_conservation_in_every_stage(source: str, out: Path) -> None:
    stats = json.loads((out / "stats" / f"{source}.json").read_text())
    kept, dropped = pq.read_table(out / "clean" / source), pq.read_table(out / "dropped" / source).to_pylist()
    by_stage: dict[str, Counter[str]] = {}
    for row in dropped:
        by_stage.setdefault(row["stage"], Counter())[row["reason"]] += 1
    number = stats["documents"]["in"]
    for stage in stats["stages"]:
        assert stage["in"] == number, stage["stage"]
        assert stage["in"] == stage["kept"] + sum(stage["dropped"].values())
        assert stage["dropped"] == by_stage.pop(stage["stage"], {})
        number = stage["kept"]
    assert number == kept.num_rows == stats["documents"]["kept"] > 0
    assert by_stage.pop("records", {}) == stats["records"]
    assert not by_stage
    assert stats["tokens"] > 0
    assert stats["bytes"]["kept"] == sum(len(t.encode()) for t in kept["text"].to_pylist())


@pytest.mark.parametrize("source", INPUTS)
def test_no_id_stands_twice_and_every_document_says_something(source: str, out: Path) -> None:
    rows = pq.read_table(out / "clean" / source)
    assert len(set(rows["id"].to_pylist())) == rows.num_rows
    assert all(text.strip() for text in rows["text"].to_pylist())
    assert set(rows["source"].to_pylist()) == {source}
    assert all(language and len(language) in (2, 3) for language in rows["language"].to_pylist())


def test_it_is_verified(out: Path) -> None:
    assert verify([str(out)]) == 0
