"""Fixtures with a small finished output: shards, validation shards, tokenizer and manifest, as a run writes them."""

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
"""A list of documents as (source, id, epoch, token ids)."""


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """Returns a tokenizer with 600 pieces."""
    texts = list(pydoc_data.topics.topics.values())[:30]
    return Encoder.load(train(texts, None, TrainSettings(vocab_size=600)).model)


@pytest.fixture(scope="session")
def rows(encoder: Encoder) -> Rows:
    """Returns documents of three sources, in random order. Books also occur in a second epoch, with one truncated
    document.
    """
    return rows_of(encoder)


@pytest.fixture(scope="session")
def rows_by() -> Callable[[Encoder], Rows]:
    """Returns a function that makes the documents of ``rows`` with another tokenizer."""
    return rows_of


def rows_of(encoder: Encoder) -> Rows:
    """Makes the documents of ``rows``, encoded with a tokenizer."""
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


def batch_of(rows: Rows, kind: pa.DataType) -> pa.RecordBatch:
    """Returns documents as a record batch for the writer of shards. ``kind`` is the type of the ids."""
    return pa.record_batch(
        {
            "input_ids": pa.array([ids for *_, ids in rows], pa.list_(kind)),
            "source": pa.array([source for source, *_ in rows], pa.string()),
            "doc_id": pa.array([doc_id for _, doc_id, *_ in rows], pa.string()),
            "epoch": pa.array([epoch for _, _, epoch, _ in rows], pa.uint8()),
        }
    )


@pytest.fixture
def output(tmp_path: Path, encoder: Encoder, rows: Rows) -> Path:
    """Returns the folder of a finished output with the documents ``rows``."""
    return write_output(tmp_path / "out", encoder, rows)


@pytest.fixture(scope="session")
def make_output(encoder: Encoder) -> Callable[[Path, Rows], Path]:
    """Returns a function that writes documents as an output folder."""
    return lambda folder, rows: write_output(folder, encoder, rows)


@pytest.fixture(scope="session")
def write_output_of() -> Callable[[Path, Encoder, Rows], Path]:
    """Returns a function that writes documents of any tokenizer as an output folder."""
    return write_output


def write_output(folder: Path, encoder: Encoder, rows: Rows, num_shards: int = 5) -> Path:
    """Writes shards with almost equal numbers of documents, one held-out shard, and the manifest. Returns the
    folder.
    """
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

    kind = pa.from_numpy_dtype(encoder.dtype)

    def write(path: str, part: Rows) -> ShardInfo:
        with (folder / path).open("wb") as sink:
            return write_shard(sink, [batch_of(part, kind)], path=path, sources=SOURCES, metadata=metadata)

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
    (folder / encoder.file_name).write_bytes(encoder.model)
    (folder / "manifest.json").write_text(dumps(manifest), encoding="utf-8")
    return folder
