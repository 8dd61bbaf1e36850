"""A small finished output: shards, validation, tokenizer and manifest, as a run leaves them."""

from __future__ import annotations

import pydoc_data.topics
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mixtures.manifest import SourceEnd, build_manifest, dumps
from mixtures.plan.shares import Plan, SourcePlan
from mixtures.shards import ShardInfo, ShardMetadata, shard_name, write_shard
from tokenizer.encode import Encoder
from tokenizer.train.training import TrainSettings, train

SOURCES = ("wikipedia", "books", "c4")

Rows = list[tuple[str, str, int, list[int]]]
"""source, id, epoch, token ids"""


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """A tokenizer of 600 pieces."""
    texts = list(pydoc_data.topics.topics.values())[:30]
    return Encoder.load(train(texts, None, TrainSettings(vocab_size=600)).model)


@pytest.fixture(scope="session")
def rows(encoder: Encoder) -> Rows:
    """Documents of three sources; of one the second epoch too, in which the last is cut at a token."""
    texts = list(pydoc_data.topics.topics.items())
    made: Rows = []
    for i, (name, text) in enumerate(texts):
        source = SOURCES[i % 3]
        ids = encoder.encode_batch([text[:4_000]])[0].as_py()
        made.append((source, name, 0, ids))
        if source == "books":
            made.append((source, name, 1, ids))
    source, name, epoch, ids = next(row for row in made if row[2] == 1)
    made[made.index((source, name, epoch, ids))] = (source, name, epoch, ids[:17])
    np.random.default_rng(5).shuffle(made)  # type: ignore[arg-type]
    return made


def batch_of(rows: Rows) -> pa.RecordBatch:
    """Rows as a writer gets them."""
    return pa.record_batch(
        {
            "input_ids": pa.array([ids for *_, ids in rows], pa.list_(pa.uint16())),
            "source": pa.array([source for source, *_ in rows], pa.string()),
            "doc_id": pa.array([doc_id for _, doc_id, *_ in rows], pa.string()),
            "epoch": pa.array([epoch for _, _, epoch, _ in rows], pa.uint8()),
        }
    )


@pytest.fixture
def output(tmp_path: Path, encoder: Encoder, rows: Rows) -> Path:
    """The folder of a run."""
    return write_output(tmp_path / "out", encoder, rows)


@pytest.fixture(scope="session")
def make_output(encoder: Encoder) -> Callable[[Path, Rows], Path]:
    """Writes rows as an output folder."""
    return lambda folder, rows: write_output(folder, encoder, rows)


def write_output(folder: Path, encoder: Encoder, rows: Rows, num_shards: int = 5) -> Path:
    """Writes shards of almost equal numbers of rows, one held-out shard, and the manifest."""
    for name in ("shards", "validation"):
        (folder / name).mkdir(parents=True)
    metadata = ShardMetadata(
        recipe="test",
        seed=3,
        tokenizer_sha256=encoder.sha256,
        vocab_size=encoder.vocab_size,
        bos_id=encoder.bos_id,
        eos_id=encoder.eos_id,
    )

    def write(path: str, part: Rows) -> ShardInfo:
        with (folder / path).open("wb") as sink:
            return write_shard(sink, [batch_of(part)], path=path, sources=SOURCES, metadata=metadata)

    shards = [write(f"shards/{shard_name('train', i, num_shards)}", rows[i::num_shards]) for i in range(num_shards)]
    held: Rows = [("c4", f"held {i}", 0, encoder.encode_batch([f"Held out, number {i}."])[0].as_py()) for i in range(4)]
    held_out = write(f"validation/{shard_name('c4', 0, 1)}", held)
    tokens = {s: sum(len(ids) for source, _, _, ids in rows if source == s) for s in SOURCES}
    documents = {s: sum(source == s for source, *_ in rows) for s in SOURCES}
    plan = Plan(
        recipe="test",
        tokens=sum(tokens.values()),
        sources=tuple(
            SourcePlan(
                source=s, weight=Decimal(1), tokens=tokens[s], available_tokens=tokens[s] or 1, available_documents=9
            )
            for s in SOURCES
        ),
    )
    manifest = build_manifest(
        plan=plan,
        seed=3,
        encoder=encoder,
        shards=shards,
        documents=documents,
        ends={source: SourceEnd(name, is_cut=True) for source, name, e, ids in rows if e and ids[-1] != encoder.eos_id},
        validation={"c4": [held_out]},
        about={"created": "2026-11-21T00:00:00Z", "software": {"pipeline": "0"}},
    )
    (folder / "tokenizer.model").write_bytes(encoder.model)
    (folder / "manifest.json").write_text(dumps(manifest), encoding="utf-8")
    return folder
