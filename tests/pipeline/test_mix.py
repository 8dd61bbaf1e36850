"""Tests a mixture of made token files: exact shares, epochs, held-out documents, one fixed order, and shards of equal
size.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

from mixtures.parts import PartRule
from mixtures.plan.deal import plan
from mixtures.plan.shares import Plan, SourceTokens
from mixtures.recipe import Recipe
from mixtures.subset import Cut
from pipeline import graph
from pipeline.engine.runner import choose_engine
from pipeline.files.checked import CheckedBatches, read_checked
from pipeline.files.spill import Shuffle
from pipeline.mix.count_held_out import _FinishCount
from pipeline.mix.job import CountJob, MixJob, SourceShare
from pipeline.tokenize.encode_parts import TOKEN_FILE
from pipeline.tokenize.held_out import HeldOut
from pipeline.tokenize.parts import Parts

pytestmark = pytest.mark.slow

LENGTHS = {"books": (40, 900), "common_crawl": (700, 60), "wikipedia": (90, 45)}
"""For each source: the number of its documents, and their mean length in tokens."""
RECIPE = Recipe(
    name="t",
    weights={"books": Decimal("22.5"), "common_crawl": Decimal("67"), "wikipedia": Decimal("10.5")},
    max_epochs=dict.fromkeys(LENGTHS, Decimal(4)),
    tokens=10**9,
)
HELD_TOKENS = {"common_crawl": 1_000, "books": 1}
Row = tuple[str, str, int, int, str]
"""A document in a shard as (source, id, epoch, number of tokens, shard)."""


def documents() -> dict[str, list[list[int]]]:
    """Returns a dict from each source to the token ids of its documents. No two documents are equal."""
    generator = np.random.default_rng(11)
    made: dict[str, list[list[int]]] = {}
    for source, (num_docs, mean) in LENGTHS.items():
        sizes = 3 + generator.exponential(mean, num_docs).astype(int)
        made[source] = [[1, *generator.integers(3, 500, size - 2).tolist(), 2] for size in sizes]
    return made


def write_token_files(folder: Path, num_parts: int) -> tuple[Parts, ...]:
    parts = []
    for source, docs in documents().items():
        (folder / source).mkdir(parents=True)
        order = np.random.default_rng(num_parts).permutation(len(docs)).tolist()
        for part in range(num_parts):
            rows = order[part::num_parts]
            schema = pa.schema({"doc_id": pa.string(), "input_ids": pa.list_(pa.uint16())})
            with open(folder / source / TOKEN_FILE.format(part), "wb") as sink:
                writer = CheckedBatches(sink, schema)
                for i in range(0, len(rows), 50):
                    some = rows[i : i + 50]
                    columns = [
                        pa.array([f"{source}/{n}" for n in some]),
                        pa.array([docs[n] for n in some], pa.list_(pa.uint16())),
                    ]
                    writer.write(pa.record_batch(columns, schema=schema))
                writer.close()
        parts.append(Parts(source, str(folder / source), num_parts, TOKEN_FILE))
    return tuple(parts)


def run(build: Any) -> None:
    engine = choose_engine(["--direct_num_workers=1"])
    with beam.Pipeline(runner=engine.runner, options=engine.options) as p:
        build(p)


class Mixed:
    """Mixes the documents. Holds the plan, the held-out documents, and the rows in their order."""

    def __init__(self, folder: Path, *, num_parts: int = 3, num_shards: int = 7, seed: int = 5,
                 num_tokens: int | None = None) -> None:  # fmt: skip
        parts = write_token_files(folder / "tokens", num_parts)
        count_job = CountJob(parts=parts, shares={"wikipedia": Decimal("0.1")}, wanted_tokens=HELD_TOKENS,
                             result_path=str(folder / "held.json"))  # fmt: skip
        run(lambda p: graph.count(p, count_job))
        self.counted = json.loads(read_checked(str(folder / "held.json")))
        held = {s: HeldOut(cut=Cut(**self.counted["cuts"][s])) for s in HELD_TOKENS}
        held["wikipedia"] = HeldOut(share=Decimal("0.1"))
        available = {s: SourceTokens(c["tokens"], c["documents"]) for s, c in self.counted["sources"].items()}
        self.plan: Plan = plan(RECIPE, available, num_tokens)
        self.out = folder / "out"
        job = MixJob(
            parts=parts,
            shares={
                s.source: SourceShare(
                    whole_epochs=s.whole_epochs, remainder_tokens=s.remainder_tokens, held_out=held[s.source]
                )
                for s in self.plan.sources
            },
            source_names=tuple(sorted(LENGTHS)),
            seed=seed,
            num_shards=num_shards,
            num_validation_shards=dict.fromkeys(LENGTHS, 1),
            output=str(self.out),
            vocab_size=500,
            metadata={
                "recipe": "t", "seed": seed, "tokenizer_sha256": "0" * 64, "vocab_size": 500, "bos_id": 1, "eos_id": 2,
            },  # type: ignore[dict-item]
            result_path=str(folder / "mixed.json"),
            shuffle=Shuffle(str(folder / "spill")),
        )  # fmt: skip
        run(lambda p: graph.mix(p, replace(job)))
        self.result = json.loads(read_checked(str(folder / "mixed.json")))

    def rows(self, kind: str = "shards") -> list[Row]:
        found: list[Row] = []
        for path in sorted((self.out / kind).iterdir()):
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            columns = (table[n].to_pylist() for n in ("source", "doc_id", "epoch", "input_ids"))
            found += [(s, i, e, len(ids), path.name) for s, i, e, ids in zip(*columns, strict=True)]
        return found

    def checksums(self) -> list[str]:
        return [s["info"]["sha256"] for s in self.result["shards"]]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    return Mixed(tmp_path_factory.mktemp("mixed"))


def test_shares_are_exact_and_epochs_whole(mixed: Mixed) -> None:
    rows = mixed.rows()
    for source in mixed.plan.sources:
        mine = [row for row in rows if row[0] == source.source]
        assert sum(row[3] for row in mine) == source.tokens
        times = Counter((row[1], row[2]) for row in mine)
        assert set(times.values()) == {1}
        for epoch in range(source.whole_epochs):
            assert sum(row[3] for row in mine if row[2] == epoch) == source.available_tokens
        assert sum(row[3] for row in mine if row[2] == source.whole_epochs) == source.remainder_tokens
    assert max(s.num_epochs for s in mixed.plan.sources) > 1


def test_only_the_cut_document_lacks_its_end(mixed: Mixed) -> None:
    whole = {f"{s}/{n}": ids for s, docs in documents().items() for n, ids in enumerate(docs)}
    short = [(source, i, epoch) for source, i, epoch, size, _ in mixed.rows() if size != len(whole[i])]
    cuts = {s: c for s, c in mixed.result["cuts"].items() if c["is_cut"]}
    epochs = {s.source: s.whole_epochs for s in mixed.plan.sources}
    assert sorted(short) == sorted((s, c["last_doc_id"], epochs[s]) for s, c in cuts.items())
    assert short


def test_what_is_held_out_is_not_trained_on(mixed: Mixed) -> None:
    held, trained = mixed.rows("validation"), {(row[0], row[1]) for row in mixed.rows()}
    assert not {(row[0], row[1]) for row in held} & trained
    tokens: Counter[str] = Counter()
    for row in held:
        tokens[row[0]] += row[3]
    assert tokens == {s: c["held_tokens"] for s, c in mixed.counted["sources"].items()}
    for source, wanted in HELD_TOKENS.items():
        last = mixed.counted["cuts"][source]
        assert wanted <= tokens[source] < wanted + last["last_doc_tokens"]
    for source, docs in documents().items():
        assert sum(map(len, docs)) == tokens[source] + mixed.counted["sources"][source]["tokens"]


def test_shards_are_of_almost_equal_size(mixed: Mixed) -> None:
    sizes = [s["info"]["tokens"] for s in mixed.result["shards"][:7]]
    largest = max(row[3] for row in mixed.rows())
    mean = sum(sizes) / len(sizes)
    assert max(abs(size - mean) for size in sizes) <= largest + 1
    assert all(sum(s["info"]["sources"].values()) == s["info"]["tokens"] for s in mixed.result["shards"])


def test_no_shard_depends_on_how_the_input_was_cut(mixed: Mixed, tmp_path: Path) -> None:
    assert Mixed(tmp_path, num_parts=8).checksums() == mixed.checksums()


def test_the_order_depends_on_seed_id_and_epoch_alone(mixed: Mixed, tmp_path: Path) -> None:
    """The order of two documents is the same in a shorter stream and in other shards, but not with another seed."""
    order = [row[:3] for row in mixed.rows()]
    shorter = Mixed(tmp_path / "a", num_shards=3, num_tokens=mixed.plan.tokens // 3)
    other = [row[:3] for row in shorter.rows()]
    both = set(order) & set(other)
    assert len(both) > 100
    assert [o for o in order if o in both] == [o for o in other if o in both]
    reseeded = [row[:3] for row in Mixed(tmp_path / "b", seed=6).rows()]
    both = set(order) & set(reseeded)
    assert [o for o in order if o in both] != [o for o in reseeded if o in both]


def test_every_repetition_has_another_place(mixed: Mixed) -> None:
    order: dict[int, list[str]] = {}
    for source, doc_id, epoch, _, _ in mixed.rows():
        if source == "books":
            order.setdefault(epoch, []).append(doc_id)
    epochs = [order[e] for e in sorted(order)]
    assert len(epochs) >= 2
    common = set(epochs[0]) & set(epochs[1])
    assert [i for i in epochs[0] if i in common] != [i for i in epochs[1] if i in common]


def test_the_counts_do_not_depend_on_the_order_in_which_they_arrive(tmp_path: Path) -> None:
    path = tmp_path / "held.json"
    job = CountJob(
        parts=(Parts("a", str(tmp_path), 80, "{}"),), shares={}, wanted_tokens={}, result_path=str(path),
        rules={"a": PartRule(by="host", weights={"v1": Decimal(1)})},
    )  # fmt: skip
    cut = Cut(last_hash=1, last_doc_id="x", last_doc_tokens_kept=1, last_doc_tokens=1)
    # More values than the result lists, all equally often.
    counts = [{"parts": {}, "left_out": {}, "values": {f"v{number}": 1}} for number in range(80)]
    group: list[Any] = [*(("cut", (source, cut)) for source in "ba"), *(("count", ("a", one)) for one in counts)]
    found = []
    for order in (1, -1):
        assert list(_FinishCount(job).process((0, group[::order]))) == [str(path)]
        found.append(path.read_bytes())
    assert found[0] == found[1]
    assert list(json.loads(read_checked(str(path)))["cuts"]) == ["a", "b"]
