"""Tests whole runs that divide a source into parts by a column: tokens, epochs, held-out documents, stages, and the
commands that read the output.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from small import CONFIG, Small, manifest_of, rows_of, shard_sums

from mixtures.find.make import make_indexes
from mixtures.find.search import Finder
from mixtures.forget.removal import forget
from mixtures.loader import Loader, LoaderSettings
from mixtures.parts import source_of
from mixtures.plan.__main__ import main as plan
from mixtures.shares.__main__ import main as shares
from mixtures.stream import TokenStream
from mixtures.verify.checks import verify
from pipeline.run import main

pytestmark = pytest.mark.slow

SITES = "c4: {weight: 60, by: host, site0.example: 3, other: 1}"


def config(folder: Path, weights: str, *changes: tuple[str, str], name: str = "parts.yaml") -> Path:
    """Writes the small corpus's recipe with other weights."""
    begin = CONFIG.index("weights: {")
    text = CONFIG[:begin] + weights + CONFIG[CONFIG.index("}", begin) + 1 :]
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / name).write_text(text)
    return folder / name


def mix(out: Path, recipe: Path, *more: str) -> int:
    return main(["--phase=mix", f"--output={out}", f"--config={recipe}", "--direct_num_workers=1", *more])


def part_of(doc_id: str) -> str:
    """Returns the name of the part to which a page belongs. The page's id contains its url."""
    return "c4:site0.example" if "//site0.example/" in doc_id else "c4:other"


@pytest.fixture(scope="module")
def by_site(small_done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the output of a mixture whose web pages are divided by their host."""
    root = tmp_path_factory.mktemp("parts")
    recipe = config(root, "weights: {" + SITES + ", books: 40}")
    assert mix(root / "out", recipe, f"--from={small_done}") == 0
    return root / "out"


def test_tokens_by_part_are_exact_and_documents_are_in_their_part(by_site: Path) -> None:
    manifest, rows = manifest_of(by_site), rows_of(by_site)
    tokens = Counter[str]()
    for name, doc_id, _, ids in rows:
        tokens[name] += len(ids)
        assert name == (part_of(doc_id) if source_of(name) == "c4" else "books")
    total = manifest["tokens"]
    wanted = {"c4:site0.example": 0.45 * total, "c4:other": 0.15 * total, "books": 0.4 * total}
    assert set(tokens) == set(wanted)
    assert all(abs(tokens[name] - quota) < 1 for name, quota in wanted.items())
    assert {name: line["tokens"] for name, line in manifest["sources"].items()} == tokens
    assert manifest["sources"]["c4:site0.example"]["epochs"] > 2 > manifest["sources"]["c4:other"]["epochs"]
    assert manifest["parts"] == {
        "c4": {"by": "host", "values": ["site0.example", "other"], "left_out": {"documents": 0, "tokens": 0}}
    }
    assert list(verify(by_site)) == []


def test_the_same_documents_are_held_out_as_without_parts(by_site: Path, small_done: Path) -> None:
    with_parts, without = rows_of(by_site, "validation"), rows_of(small_done, "validation")
    assert sorted((source_of(s), i, ids) for s, i, _, ids in with_parts) == sorted(
        (s, i, ids) for s, i, _, ids in without
    )
    assert {s for s, *_ in with_parts} == {"c4:other", "c4:site0.example"}
    assert {p.name.split("-")[0] for p in (by_site / "validation").iterdir()} == {"c4"}
    assert not {i for _, i, *_ in with_parts} & {i for _, i, *_ in rows_of(by_site)}


def test_the_loader_tells_the_parts_apart(by_site: Path) -> None:
    loader = Loader(TokenStream(by_site), LoaderSettings(seq_len=64, batch_size=4, seed=0))
    assert loader.stream.source_names == ("books", "c4:other", "c4:site0.example")
    seen = Counter[str]()
    for batch in loader:
        seen.update(loader.stream.source_names[i] for i in batch.sources().ravel().tolist())
    assert seen["c4:site0.example"] > 2 * seen["c4:other"] > 0
    held = TokenStream(by_site, validation_source="c4")
    assert held.num_tokens == manifest_of(by_site)["validation"]["c4"]["tokens"]


def test_every_reader_knows_the_parts(by_site: Path, tmp_path: Path, capsys: Any) -> None:
    assert "site0.example" in (by_site / "README.md").read_text()
    assert "c4 is divided by `host`" in (by_site / "README.md").read_text()
    assert "c4:site0.example" in (by_site / "report" / "index.html").read_text()
    assert shares([str(by_site), "--seq-len=64"]) == 0
    assert "c4:site0.example" in capsys.readouterr().out
    recipe = config(tmp_path, "weights: {" + SITES + ", books: 40}", ("{share: 0.1}", "{}"))
    assert plan(["--config", str(recipe), "--stats", str(by_site)]) == 0
    assert "c4:site0.example        45             1,772          9" in capsys.readouterr().out


def test_a_document_is_found_and_forgotten_by_its_source_or_part(by_site: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(by_site, out)
    make_indexes(out)
    doc_id = next(i for s, i, *_ in rows_of(out) if s == "c4:other")
    found = list(Finder(out).ids([("c4", doc_id)]))
    assert found
    assert found == list(Finder(out).ids([("c4:other", doc_id)]))
    assert not list(Finder(out).ids([("c4:site0.example", doc_id), ("books", doc_id)]))
    assert not forget(out, [doc_id], source="books", when="now").shards
    gone = forget(out, [doc_id], source="c4", when="now")
    assert gone.rows == {"c4:other": len(found)}
    assert list(verify(out)) == []


def test_what_is_left_out_is_counted(small_done: Path, tmp_path: Path, capsys: Any) -> None:
    recipe = config(tmp_path, "weights: {c4: {weight: 60, by: host, site1.example: 1, site2.example: 1}, books: 40}")
    out = tmp_path / "out"
    assert mix(out, recipe, f"--from={small_done}") == 0
    said = capsys.readouterr()
    manifest, stats = manifest_of(out), json.loads((out / "stats" / "c4.json").read_text())
    left_out = manifest["parts"]["c4"]["left_out"]
    assert left_out["documents"] == stats["documents"]["kept"] * 3 // 5 == 27
    assert left_out["tokens"] + sum(one["tokens"] for one in stats["parts"]["values"].values()) == stats["tokens"]
    assert {i.split("/")[2] for s, i, *_ in rows_of(out) if s != "books"} == {"site1.example", "site2.example"}
    assert {s for s, *_ in rows_of(out, "validation")} <= {"books", "c4:site1.example", "c4:site2.example"}
    assert "left out" in said.out
    assert "27 documents" in (out / "README.md").read_text()
    assert "27 documents" in (out / "report" / "index.html").read_text()


def test_other_values_need_no_new_token_files_and_another_column_does(
    by_site: Path, small_done: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out"
    shutil.copytree(by_site, out)
    recipe = config(tmp_path, "weights: {c4: {weight: 60, by: host, site1.example: 1, other: 1}, books: 40}")
    assert mix(out, recipe, f"--from={small_done}") == 0
    assert "tokenize: done" not in capsys.readouterr().err
    recipe = config(tmp_path, "weights: {c4: {weight: 60, by: url, other: 1}, books: 40}")
    assert mix(out, recipe, f"--from={small_done}") == 0
    assert "tokenize" in capsys.readouterr().err
    assert manifest_of(out)["sources"].keys() == {"c4:other", "books"}


def test_a_value_without_documents_is_an_error_or_shared(small_done: Path, tmp_path: Path, capsys: Any) -> None:
    weights = "weights: {c4: {weight: 60, by: host, site7.example: 1, other: 1}, books: 40}"
    out = tmp_path / "out"
    assert mix(out, config(tmp_path, weights), f"--from={small_done}") == 2
    said = capsys.readouterr().err
    assert "c4:site7.example: no document in c4 for training has this host; the most common values" in said
    assert "site0.example (9)" in said
    shared = config(tmp_path, weights, ("tokens: 1_000_000", "tokens: 1_000_000\n  missing: share"))
    assert mix(out, shared, f"--from={small_done}") == 0
    sources = manifest_of(out)["sources"]
    assert sources.keys() == {"c4:other", "books"}
    assert sources["c4:other"]["share"] == pytest.approx(60, abs=0.01)


def test_an_unknown_column_is_refused_before_anything_is_cleaned(small: Small, small_done: Path, tmp_path: Path,
                                                                 capsys: Any) -> None:  # fmt: skip
    recipe = config(tmp_path, "weights: {c4: {weight: 60, by: sites, a: 1}, books: 40}")
    out = tmp_path / "out"
    assert main([*small.args(out), f"--config={recipe}"]) == 2
    assert (
        "parts of c4: sites is not a column of its clean documents; there are: language, url" in capsys.readouterr().err
    )
    assert not (out / "clean").exists()
    assert mix(out, recipe, f"--from={small_done}") == 2
    assert "parts of c4: sites is not a column of its clean documents" in capsys.readouterr().err


def test_two_workers_give_the_same_bytes(by_site: Path, small: Small, tmp_path: Path) -> None:
    recipe = config(tmp_path, "weights: {" + SITES + ", books: 40}")
    args = [a for a in small.args(tmp_path / "out") if not a.startswith("--direct_num_workers")]
    args[args.index("--config") + 1] = str(recipe)
    tokenizer = f"--tokenizer={by_site}/tokenizer.model"
    assert main([*args, tokenizer, "--direct_num_workers=2"]) == 0
    assert shard_sums(tmp_path / "out") == shard_sums(by_site)


def test_a_source_can_be_divided_in_a_later_stage_and_repeats_nothing(small: Small, tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    assert small.run(one, "--tokens=9000", "--seed=4") == 0
    recipe = config(tmp_path, "weights: {" + SITES + ", books: 40}")
    assert mix(two, recipe, f"--continue-from={one}", f"--from={one}", "--tokens=6000") == 0
    finer = "weights: {c4: {weight: 60, by: host, site0.example: 1, site1.example: 1, other: 1}, books: 40}"
    assert mix(three, config(tmp_path, finer, name="finer.yaml"), f"--continue-from={two}", f"--from={one}") == 0
    seen = Counter((source_of(s), i, e) for out in (one, two, three) for s, i, e, _ in rows_of(out))
    assert max(seen.values()) == 1
    epochs: dict[tuple[str, str], list[int]] = {}
    for source, doc_id, epoch in seen:
        epochs.setdefault((source, doc_id), []).append(epoch)
    assert all(sorted(found) == list(range(len(found))) for found in epochs.values()), "no epoch is left out"
    assert max(len(found) for found in epochs.values()) == 3
    assert list(verify(three)) == []


def test_a_part_of_documents_that_stopped_at_different_places_is_refused(
    small: Small, tmp_path: Path, capsys: Any
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    recipe = config(tmp_path, "weights: {" + SITES + ", books: 40}", name="one.yaml")
    args = small.args(one, "--tokens=9000")
    args[args.index("--config") + 1] = str(recipe)
    assert main(args) == 0
    assert mix(two, small.config, f"--continue-from={one}", f"--from={one}") == 2
    assert "c4: earlier stages divided c4 otherwise, so its documents stopped at" in capsys.readouterr().err
