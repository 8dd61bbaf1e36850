"""Compares the loader with its peers: tokens per second of one core, in int64 batches of 64 sequences of 2,049 tokens.

Run: ``python benchmarks/loader.py [--tokens N] [--rounds N] [--folder DIR]``

Our loader returns shuffled sequences, the borders of their documents, and the source of every segment. A second row
adds the positions of all tokens and cumulative lengths, a third packs with best_fit, a fourth returns single records
through Grain's interface. The peers get the same tokens, each in its own format:

- memory map: ``numpy.memmap`` of raw ids, sequences in order, no borders; this is the upper limit on this machine;
- datasets: the shards, unchanged, with ``load_dataset("arrow")``, by row and in batches, packed in order, no borders;
- datatrove: ``DatatroveFileDataset`` on exported ``.ds`` files, sequences in order, without and with positions;
- streaming: mosaicml-streaming's ``StreamingDataset`` on MDS files of sequences packed beforehand, shuffled.

A peer that cannot be imported is reported as skipped. The time is the process's CPU time in the best round; the files
are in the page cache. The last line reports how long our loader takes to open and check 1,000 shards.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mixtures.export import export
from mixtures.grain import PackedSource
from mixtures.loader import Loader, LoaderSettings, Packing
from mixtures.manifest import build_manifest, dumps
from mixtures.plan.shares import Plan, SourcePlan
from mixtures.shards import ShardMetadata, shard_name, write_shard
from mixtures.stream import TokenStream
from tokenizer.codec import MODEL
from tokenizer.encoder_settings import EncoderSettings

SEQ_LEN, BATCH = 2_048, 64
SOURCES = ("books", "c4", "common_crawl")
MEAN_TOKENS = {"books": 60_000, "c4": 500, "common_crawl": 1_000}
WEIGHTS = {"books": Decimal(5), "c4": Decimal(15), "common_crawl": Decimal(80)}
VOCAB_SIZE = 32_000
WARM_TOKENS = 1 << 20


class _NoEncoder:
    """Replaces the tokenizer when the manifest is built."""

    sha256, vocab_size, bos_id, eos_id = "0" * 64, VOCAB_SIZE, 1, 2
    file_name, settings = MODEL, EncoderSettings()


def make_run(folder: Path, num_tokens: int, num_shards: int) -> None:
    """Writes an output folder like that of a run. Its documents have random token ids and log-normal lengths."""
    generator = np.random.default_rng(1)
    (folder / "shards").mkdir(parents=True)
    metadata = ShardMetadata(
        recipe="benchmark", seed=0, tokenizer_sha256="0" * 64, vocab_size=VOCAB_SIZE, bos_id=1, eos_id=2
    )
    shards, rows, tokens = [], dict.fromkeys(SOURCES, 0), dict.fromkeys(SOURCES, 0)
    for number in range(num_shards):
        batch = _documents(generator, num_tokens // num_shards, f"{number}-")
        path = f"shards/{shard_name('train', number, num_shards)}"
        with (folder / path).open("wb") as sink:
            shards.append(write_shard(sink, [batch], path=path, sources=SOURCES, metadata=metadata))
        for source in batch.column("source").to_pylist():
            rows[source] += 1
        for source, n in shards[-1].sources.items():
            tokens[source] += n
    plan = Plan(
        recipe="benchmark",
        tokens=sum(tokens.values()),
        sources=tuple(
            SourcePlan(source=s, weight=WEIGHTS[s], tokens=n, available_tokens=n or 1, available_documents=rows[s])
            for s, n in tokens.items()
        ),
    )
    manifest = build_manifest(
        plan=plan,
        seed=0,
        encoder=_NoEncoder(),
        shards=shards,
        documents=rows,
        ends={},
        validation={},
        about={},
    )  # type: ignore[arg-type]
    (folder / "manifest.json").write_text(dumps(manifest))


def _documents(generator: np.random.Generator, num_tokens: int, prefix: str) -> pa.RecordBatch:
    lengths, names, left = [], [], num_tokens
    while left > 0:
        source = SOURCES[int(generator.choice(3, p=[0.001, 0.33, 0.669]))]
        length = min(left, 2 + int(generator.lognormal(np.log(MEAN_TOKENS[source]) - 0.5, 1)))
        lengths.append(length)
        names.append(source)
        left -= length
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ids = generator.integers(3, VOCAB_SIZE, offsets[-1], dtype=np.uint16)
    ids[offsets[:-1]], ids[offsets[1:] - 1] = 1, 2
    return pa.record_batch(
        {
            "input_ids": pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids)),
            "source": pa.array(names, pa.string()),
            "doc_id": pa.array([f"{prefix}{i}" for i in range(len(names))]),
            "epoch": pa.array(np.zeros(len(names), np.uint8)),
        }
    )


def ours(folder: Path, *, positions: bool, packing: Packing = "concatenate") -> Iterator[Any]:
    for batch in Loader(folder, LoaderSettings(seq_len=SEQ_LEN, batch_size=BATCH, packing=packing)):
        if positions:
            batch.positions()
            batch.cu_seqlens()
        yield batch.input_ids


def ours_through_grain(folder: Path) -> Iterator[Any]:
    """Yields batches of records that our loader makes for MaxText through Grain. The records include positions. Grain
    requests several records at a time.
    """
    source = PackedSource(folder, LoaderSettings(seq_len=SEQ_LEN, batch_size=1), form="maxtext")
    for first in range(0, len(source) - BATCH, BATCH):
        records = source.__getitems__(range(first, first + BATCH))
        ids = np.empty((BATCH, SEQ_LEN + 1), np.int64)
        for row, record in zip(ids, records, strict=True):
            row[:-1] = record["inputs"]
            row[-1] = record["targets"][-1]
        yield ids


def memory_map(raw: Path) -> Iterator[Any]:
    ids = np.memmap(raw, np.uint16, "r")
    width = SEQ_LEN + 1
    for first in range(0, len(ids) - BATCH * width, BATCH * width):
        yield ids[first : first + BATCH * width].reshape(BATCH, width).astype(np.int64)


def datasets_rows(folder: Path) -> Iterator[Any]:
    from datasets import load_dataset

    files = sorted(map(str, (folder / "shards").iterdir()))
    rows = load_dataset("arrow", data_files=files, split="train").with_format("numpy", columns=["input_ids"])
    yield from packed(row["input_ids"] for row in rows)


def datasets_batches(folder: Path) -> Iterator[Any]:
    from datasets import load_dataset

    files = sorted(map(str, (folder / "shards").iterdir()))
    rows = load_dataset("arrow", data_files=files, split="train").with_format("arrow", columns=["input_ids"])
    tables = rows.iter(batch_size=1_000)
    yield from packed(t["input_ids"].combine_chunks().flatten().to_numpy() for t in tables)


def packed(pieces: Iterator[Any]) -> Iterator[Any]:
    """Yields batches of the ids in ``pieces``, cut into sequences of SEQ_LEN + 1 ids.

    Neighbouring sequences do not overlap. An overlap of one token, as real training needs it, would take more time.
    """
    size = BATCH * (SEQ_LEN + 1)
    out, filled = np.empty(size, np.int64), 0
    for piece in pieces:
        while len(piece):
            take = min(size - filled, len(piece))
            out[filled : filled + take] = piece[:take]
            piece, filled = piece[take:], filled + take
            if filled == size:
                yield out.reshape(BATCH, SEQ_LEN + 1)
                out, filled = np.empty(size, np.int64), 0


def datatrove(exported: Path, *, positions: bool) -> Iterator[Any]:
    import torch
    from datatrove.utils.dataset import DatatroveFileDataset

    for path in sorted(exported.glob("*.ds")):
        data = DatatroveFileDataset(str(path), SEQ_LEN, token_size=2, return_positions=positions)
        for first in range(0, len(data) - BATCH, BATCH):
            yield torch.stack([data[i]["input_ids"] for i in range(first, first + BATCH)]).numpy()


def streaming(mds: Path) -> Iterator[Any]:
    from streaming import StreamingDataset

    data = StreamingDataset(local=str(mds), shuffle=True, batch_size=BATCH)
    rows: list[Any] = []
    for sample in data:
        rows.append(sample["ids"])
        if len(rows) == BATCH:
            yield np.stack(rows).astype(np.int64)
            rows = []


def write_mds(raw: Path, target: Path) -> None:
    from streaming import MDSWriter

    ids = np.memmap(raw, np.uint16, "r")
    with MDSWriter(out=str(target), columns={"ids": "ndarray:uint16"}) as writer:
        for first in range(0, len(ids) - SEQ_LEN, SEQ_LEN):
            writer.write({"ids": np.asarray(ids[first : first + SEQ_LEN + 1])})


def rate(make: Callable[[], Iterator[Any]], rounds: int, max_tokens: int) -> float:
    """Returns the tokens per CPU second of the best round. The first 8 batches are not timed, because they open the
    files.
    """
    best = 0.0
    for _ in range(rounds):
        batches = make()
        warm = sum(b.size for b in itertools.takewhile(lambda _: True, itertools.islice(batches, 8)))
        assert warm >= WARM_TOKENS
        begun, tokens = time.process_time(), 0
        for batch in batches:
            assert batch.shape == (BATCH, SEQ_LEN + 1)
            assert batch.dtype == np.int64
            tokens += batch.size
            if tokens >= max_tokens:
                break
        best = max(best, tokens / (time.process_time() - begun))
    return best


def compare(folder: Path, num_tokens: int, rounds: int) -> None:
    run = folder / "run"
    make_run(run, num_tokens, 4)
    exported = folder / "ds"
    export(run, exported, "datatrove")
    raw = folder / "raw"
    raw.write_bytes(b"".join(path.read_bytes() for path in sorted(exported.glob("*.ds"))))

    def mds() -> Iterator[Any]:
        if not (folder / "mds").exists():
            write_mds(raw, folder / "mds")
        return streaming(folder / "mds")

    print(f"{num_tokens:,} tokens, {BATCH} sequences of {SEQ_LEN + 1} a batch, best of {rounds}")
    for name, make, share in (
        ("memory map itself, in order, no borders", lambda: memory_map(raw), 1),
        ("ours: shuffled, borders, sources", lambda: ours(run, positions=False), 1),
        ("ours: and positions, cu_seqlens", lambda: ours(run, positions=True), 1),
        ("ours: best_fit, positions, cu_seqlens", lambda: ours(run, positions=True, packing="best_fit"), 2),
        ("ours: through Grain's interface, MaxText", lambda: ours_through_grain(run), 8),
        ("datasets, by row, no borders", lambda: datasets_rows(run), 4),
        ("datasets, in batches, no borders", lambda: datasets_batches(run), 1),
        ("datatrove", lambda: datatrove(exported, positions=False), 2),
        ("datatrove, with positions", lambda: datatrove(exported, positions=True), 8),
        ("mosaicml-streaming", mds, 8),
    ):
        try:
            print(f"{name:42} {rate(make, rounds, num_tokens // share) / 1e6:8.0f} M tokens/s", flush=True)
        except ImportError as error:
            print(f"{name:42} skipped: {error}", flush=True)


def start_up(folder: Path) -> None:
    make_run(folder / "many", 1_000_000, 1_000)
    begun = time.monotonic()
    stream = TokenStream(folder / "many")
    opened = time.monotonic() - begun
    loader = iter(Loader(stream, LoaderSettings(seq_len=SEQ_LEN, batch_size=1)))
    next(loader)
    first = time.monotonic() - begun
    print(f"1,000 shards: {opened:.2f} s to open and check, {first:.2f} s to the first batch")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where files are made (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        compare(Path(folder), args.tokens, args.rounds)
        start_up(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
