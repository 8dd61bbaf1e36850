"""Compares the loader with its peers: tokens per second of one core, in batches of 64 sequences of 2,049 tokens.

Run: ``python benchmarks/loader.py [--tokens N] [--rounds N] [--folder DIR]``

The first row of the table is our loader with shuffled sequences. It also returns the borders of the documents in them,
and the source of every segment (a document's part of a sequence). The next rows add the positions and sources of all
tokens and the cumulative lengths, and then packing with best_fit. Our last rows read through the interface for Grain.
There a record is a whole batch (``MapDataset``, which copies nothing), or a single sequence in MaxText's form.

The peers get the same tokens, each in its own format:

- memory map: ``numpy.memmap`` of raw ids, without borders of documents, in order and shuffled; no reader on this
  machine can be faster than the memory map in order;
- datasets: the unchanged shards with ``load_dataset("arrow")``, row by row and in batches. The documents are packed in
  order, without borders;
- datatrove: ``DatatroveFileDataset`` on exported ``.ds`` files. The sequences are in order, without and with positions;
- Grain, mosaicml-streaming and litdata: sequences that were packed beforehand, shuffled, without borders. The formats
  are ArrayRecord, MDS, and the chunks of litdata's ``TokensLoader``.

A peer that cannot be imported is reported as skipped. Each row has its own process. Each round times every row for a
short while. The best rate counts, because other work on the machine can only add time. The time is the process's CPU
time; the files are in the page cache. The last line reports how long our loader takes to open and check 1,000 shards.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import loader_peers as peers
from benchmarks.loader_peers import BATCH, SEQ_LEN
from mixtures.export.layouts import export
from mixtures.grain import PackedSource
from mixtures.loader import Loader, LoaderSettings, Packing
from mixtures.manifest import build_manifest, dumps
from mixtures.plan.shares import Plan, SourcePlan
from mixtures.shards import ShardMetadata, shard_name, write_shard
from mixtures.stream import TokenStream
from tokenizer.codec import MODEL
from tokenizer.encoder_settings import EncoderSettings

SOURCES = ("books", "c4", "common_crawl")
MEAN_TOKENS = {"books": 60_000, "c4": 500, "common_crawl": 1_000}
WEIGHTS = {"books": Decimal(5), "c4": Decimal(15), "common_crawl": Decimal(80)}
VOCAB_SIZE = 32_000
WARM_BATCHES = 8
"""The number of batches at the beginning that are not timed, because they open the files."""
SEGMENT_BATCHES, SEGMENT_SECONDS, ROUND_SEGMENTS = 256, 0.5, 6
"""A round times each row of the table ROUND_SEGMENTS times. Each time ends after SEGMENT_BATCHES batches or
SEGMENT_SECONDS CPU seconds, whichever comes first. Our loader looks up about 64 batches at once, so a shorter time
would miss this work.
"""
MIN_TOKENS = BATCH * SEQ_LEN


class _NoEncoder:
    """Replaces the tokenizer, which is needed only for some fields of the manifest."""

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


def ours(folder: Path, *, all_tokens: bool, packing: Packing = "concatenate") -> Iterator[Any]:
    for batch in Loader(folder, LoaderSettings(seq_len=SEQ_LEN, batch_size=BATCH, packing=packing)):
        if all_tokens:
            batch.positions()
            batch.sources()
            batch.cu_seqlens()
        yield batch.input_ids


def ours_through_grain(folder: Path, packing: Packing) -> Iterator[Any]:
    """Yields the ids of the batches that Grain returns. Each batch also has positions, sources, a loss mask and
    cumulative lengths.
    """
    import grain

    settings = LoaderSettings(seq_len=SEQ_LEN, batch_size=BATCH, packing=packing)
    data = grain.MapDataset.source(PackedSource(folder, settings, form="batch"))
    for number in range(len(data)):
        record = data[number]
        assert {"position_ids", "sources", "cu_seqlens", "loss_mask"} < record.keys()
        yield record["input_ids"]


def ours_single_records(folder: Path) -> Iterator[Any]:
    """Reads single sequences in MaxText's form, and yields them in batches. The sequences of a batch are requested in
    one call.
    """
    source = PackedSource(folder, LoaderSettings(seq_len=SEQ_LEN, batch_size=1), form="maxtext")
    for first in range(0, len(source) - BATCH, BATCH):
        yield np.stack([record["inputs"] for record in source.__getitems__(range(first, first + BATCH))])


def segment_rate(batches: Iterator[Any]) -> float | None:
    """Reads batches for a short while. Returns the tokens per CPU second, or None if too few batches are left."""
    begun, tokens = time.process_time(), 0
    for number, batch in enumerate(batches, 1):
        assert batch.shape in ((BATCH, SEQ_LEN), (BATCH, SEQ_LEN + 1))
        tokens += batch.size
        seconds = time.process_time() - begun
        if (number == SEGMENT_BATCHES or seconds > SEGMENT_SECONDS) and tokens >= MIN_TOKENS:
            return tokens / seconds
    return None


def compare(folder: Path, num_tokens: int, rounds: int) -> None:
    run = folder / "run"
    make_run(run, num_tokens, 4)
    exported = folder / "ds"
    export(run, exported, "datatrove")
    raw = folder / "raw"
    raw.write_bytes(b"".join(path.read_bytes() for path in sorted(exported.glob("*.ds"))))
    rows: dict[str, Callable[[], Iterator[Any]]] = {
        "memory map itself, in order, no borders": functools.partial(peers.memory_map, raw),
        "memory map itself, shuffled, no borders": functools.partial(peers.shuffled_memory_map, raw),
        "ours: shuffled, borders, sources": functools.partial(ours, run, all_tokens=False),
        "ours: and positions, cu_seqlens": functools.partial(ours, run, all_tokens=True),
        "ours: best_fit, positions, cu_seqlens": functools.partial(ours, run, all_tokens=True, packing="best_fit"),
        "ours: Grain, batches": functools.partial(ours_through_grain, run, "concatenate"),
        "ours: Grain, batches, best_fit": functools.partial(ours_through_grain, run, "best_fit"),
        "ours: single records, MaxText": functools.partial(ours_single_records, run),
        "datasets, by row, no borders": functools.partial(peers.datasets_rows, run / "shards"),
        "datasets, in batches, no borders": functools.partial(peers.datasets_batches, run / "shards"),
        "datatrove": functools.partial(peers.datatrove, exported, positions=False),
        "datatrove, with positions": functools.partial(peers.datatrove, exported, positions=True),
        "Grain, ArrayRecord": functools.partial(peers.grain_arrayrecord, raw, folder / "sequences.arrayrecord"),
        "litdata": functools.partial(peers.litdata, raw, folder / "litdata"),
        "mosaicml-streaming": functools.partial(peers.streaming, raw, folder / "mds"),
    }
    print(f"{num_tokens:,} tokens, {BATCH} sequences of {SEQ_LEN + 1} a batch, best of {rounds}")
    rates = measured(rows, rounds)
    for name in rows:
        print(f"{name:42} {rates[name]}", flush=True)


def measured(rows: dict[str, Callable[[], Iterator[Any]]], rounds: int) -> dict[str, str]:
    """Times all rows of the table in turn, ``rounds`` times. Returns each row's best rate, or why it was skipped.

    Each row has a process of its own, because some libraries keep threads that read ahead. These threads would count
    as CPU time of the rows that come after them.
    """
    context = multiprocessing.get_context("spawn")
    said: dict[str, str] = {}
    best = dict.fromkeys(rows, 0.0)
    with contextlib.ExitStack() as stack:
        pipes: dict[str, Any] = {}
        for name, make in rows.items():
            pipes[name], theirs = context.Pipe()
            process = context.Process(target=_time_row, args=(make, theirs))
            process.start()
            theirs.close()
            stack.callback(process.terminate)
        for _ in range(rounds):
            for name, pipe in pipes.items():
                if name in said:
                    continue
                pipe.send(None)
                answer = pipe.recv()  # EOFError if the process has ended
                if isinstance(answer, str):
                    said[name] = answer
                else:
                    best[name] = max(best[name], answer)
    return {name: said.get(name, f"{best[name] / 1e6:8.0f} M tokens/s") for name in rows}


def _time_row(make: Callable[[], Iterator[Any]], pipe: Any) -> None:
    """Waits for requests. Answers each with the best rate of some batches, or with the reason why the row is
    skipped.
    """
    running: Iterator[Any] | None = None
    while True:
        pipe.recv()
        try:
            rates: list[float] = []
            while len(rates) < ROUND_SEGMENTS:
                if running is None or (rate := segment_rate(running)) is None:
                    running = make()
                    assert len(list(itertools.islice(running, WARM_BATCHES))) == WARM_BATCHES
                else:
                    rates.append(rate)
        except ImportError as error:
            pipe.send(f"skipped: {error}")
            return
        pipe.send(max(rates))


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
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--folder", help="where files are made (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        compare(Path(folder), args.tokens, args.rounds)
        start_up(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
