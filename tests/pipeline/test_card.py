"""Tests the dataset card: a header that dataset hubs can read, the sources' licences, and file names with special
characters.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.output.paths import Layout
from pipeline.report.dataset_card import write_card
from pipeline.sources import SOURCES
from pipeline.sources.source import UNKNOWN_LICENCE


def head_of(text: str) -> dict[str, Any]:
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def test_the_head_of_a_run_s_card(small_done: Path) -> None:
    text = (small_done / "README.md").read_text()
    head = head_of(text)
    assert head["pretty_name"] == "small mixture"
    assert head["language"] == ["en"]
    assert head["license"] == "other"
    assert head["task_categories"] == ["text-generation"]
    assert head["size_categories"] == ["n<1K"]
    files = {one["split"]: one["path"] for one in head["configs"][0]["data_files"]}
    assert set(files) == {"train", "validation"}
    manifest = json.loads((small_done / "manifest.json").read_text())
    matched = {split: {str(p.relative_to(small_done)) for p in small_done.glob(files[split])} for split in files}
    assert matched["train"] == {shard["path"] for shard in manifest["shards"]}
    held = {shard["path"] for one in manifest["validation"].values() for shard in one["shards"]}
    assert held
    assert matched["validation"] == held
    assert f"#{head['license_link'].partition('#')[2]}" == "#licences"
    assert "\n## Licences\n" in text


def test_counts_are_the_manifest_s(small_done: Path) -> None:
    text = (small_done / "README.md").read_text()
    manifest = json.loads((small_done / "manifest.json").read_text())
    for name, line in manifest["sources"].items():
        row, *_ = re.findall(rf"^\| {name} \| [\d.]+ \| [\d.]+ \| ([\d,]+) \| ([\d,]+) \|", text, re.MULTILINE)
        assert row == (f"{line['tokens']:,}", f"{line['documents']:,}")
        stats = json.loads((small_done / "stats" / f"{name}.json").read_text())["documents"]
        assert f"| {stats['in']:,} | {stats['kept']:,} |" in text
    assert manifest["tokenizer"]["sha256"] in text


def test_every_source_s_licence_is_told() -> None:
    assert all(source.licence is not UNKNOWN_LICENCE for source in SOURCES.values())
    for name in ("wikipedia", "stack_exchange"):
        assert "CC BY-SA" in SOURCES[name].licence.name
        assert "share alike" in SOURCES[name].licence.asks


@pytest.mark.parametrize("name", ['a "quoted" name', "pipe | and <b>", "Ünïcode 書", "colon: # yes", "- dash"])
def test_odd_names_break_neither_head_nor_tables(small_done: Path, tmp_path: Path, name: str) -> None:
    manifest = json.loads((small_done / "manifest.json").read_text())
    manifest["recipe"] = name
    manifest["sources"][name] = manifest["sources"].pop("c4")
    write_card(Layout(str(tmp_path)), manifest)
    text = (tmp_path / "README.md").read_text()
    assert head_of(text)["pretty_name"] == f"{name} mixture"
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows
    tables = [re.sub(r"\\.", "", row).count("|") for row in rows]
    assert set(tables) <= {4, 6, 8}
    assert "not known here" in text
    assert not re.search(r"^\|.*<b>", text, re.MULTILINE)


def test_the_commands_of_the_card_work(small_done: Path) -> None:
    """The commands work in the folder of the card, as the card says."""
    text = (small_done / "README.md").read_text()
    commands = re.findall(r"`python -m ([^`]+)`", text)
    assert len(commands) == 2
    root = Path(__file__).parents[2]
    for command in commands:
        done = subprocess.run([sys.executable, "-m", *command.split()], cwd=small_done, capture_output=True, text=True,
                              timeout=120, env={**os.environ, "PYTHONPATH": str(root)})  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout


def card(small_done: Path, tmp_path: Path, **changes: Any) -> str:
    manifest = {**json.loads((small_done / "manifest.json").read_text()), **changes}
    write_card(Layout(str(tmp_path)), manifest)
    return (tmp_path / "README.md").read_text()


def test_the_card_names_the_base_recipe_and_what_rests_on_little_text(small_done: Path, tmp_path: Path) -> None:
    manifest = json.loads((small_done / "manifest.json").read_text())
    assert manifest["base_recipe"] == "llama"
    sample = manifest["tokenizer"]["trained"]
    assert (sample["texts"] > 0, sample["bytes"] > 0) == (True, True)
    text = (small_done / "README.md").read_text()
    assert "The recipe small builds on the recipe llama." in text
    assert f"- The tokenizer was trained on {sample['texts']:,} texts, " in text
    files = [{"name": "en.arpa.bin", "documents": 90, "text_bytes": 160_000, "date": "2026-01-02"}]
    models = {"perplexity": {"name": "en.arpa.bin", "sha256": "0" * 64, "files": files}}
    tokenizer = {**manifest["tokenizer"], "trained": {**sample, "bytes": 10**9}}
    one = card(small_done, tmp_path, models=models, tokenizer=tokenizer, validation={},
               shards=manifest["shards"][:1])  # fmt: skip
    assert (
        "- The model of perplexity is tiny: en.arpa.bin was trained on 0.16 MB of text, less than 10 MB"
        ", so its perplexities are uncertain.\n"
    ) in one
    assert "- The tokenizer was trained on" not in one
    assert "- No document is held out for validation.\n" in one
    assert " in 1 Arrow shard," in one
    del manifest["base_recipe"], manifest["tokenizer"]["trained"]
    write_card(Layout(str(tmp_path)), manifest)
    text = (tmp_path / "README.md").read_text()
    assert ("builds on" in text, "Trained on" in text) == (False, False), "an older output, or a recipe as it ships"


def test_the_sentences_fit_the_sources_and_the_tokenizer(small_done: Path, tmp_path: Path) -> None:
    text = (small_done / "README.md").read_text()
    assert "likeness to Wikipedia" not in text, "no source was chosen so"
    assert "Documents of one source that are also in another are not removed." in text
    assert "(bos and eos included)" in text
    assert "Tokenizer: SentencePiece" in text
    manifest = json.loads((small_done / "manifest.json").read_text())
    tokenizer = {**manifest["tokenizer"], "path": "tokenizer.json", "bos_id": -1}
    one = card(small_done, tmp_path, sources={"books": manifest["sources"]["books"]}, tokenizer=tokenizer)
    assert "also in another" not in one
    assert "The source passed its steps" in one
    assert "There is no one licence" not in one
    assert "(eos included, no bos)" in one
    assert "Tokenizer: Hugging Face tokenizers" in one
    assert "`tokenizer.json`" in one


def test_likeness_is_said_of_the_sources_that_were_chosen_so(small_done: Path, tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    marker = Path(layout.marker("clean-c4"))
    marker.parent.mkdir(parents=True)
    marker.write_text(json.dumps({"about": {"models": {"language": {}, "perplexity": {}}}}))
    text = card(small_done, tmp_path)
    assert "Pages of c4 are chosen by their likeness to Wikipedia (a language model):" in text
