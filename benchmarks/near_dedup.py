"""Compares the near dedup with three peers: CPU seconds, MB/s of one core, and the documents that each system removes.

    python benchmarks/near_dedup.py DOCUMENTS.json.gz OUT [--skip NAME...]

DOCUMENTS has lines with ``url`` and ``text``. ``benchmarks/judges/near_dedup_corpus.py`` makes such a file of many
kinds of documents, and ``benchmarks/near_dedup_pages.py`` one of web pages. Each system reads all documents in its own
process with one worker. Times are CPU seconds of that process and its children, without the start of the interpreter
and without imports. ``OUT/NAME.removed`` gets the urls of the removed documents, for
``benchmarks/judges/near_dedup.py``. The peers are datatrove's whole MinHash chain with its defaults (14 x 8 hashes),
rensa (128 hashes, threshold 0.8, greedy in the order of the file), and text-dedup's MinHash (threshold 0.8). A peer
that is not installed is reported as left out. ``ours`` is the whole clean phase with the near dedup as its only step:
reading, signatures, candidates, verification, and writing. ``signatures`` computes only word 5-grams and signatures.
``passages`` is the clean phase with the dedup of passages, which cuts strings of 500 bytes instead of documents.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def rows_of(path: str) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def signatures(documents: str, out: Path) -> tuple[float, list[str]]:
    from filters.near.minhash import bands_of
    from filters.near.minhash import signatures as signatures_of
    from filters.near.ngrams import ngram_sets

    texts = [row["text"] for row in rows_of(documents)]
    bands = bands_of(0.5, 64)
    num_used = bands.num_bands * bands.num_rows
    signatures_of(ngram_sets(texts[:100], ngram_words=5), num_perm=64, seed=1, num_used=num_used)
    begun = cpu_seconds()
    for start in range(0, len(texts), 512):
        sets = ngram_sets(texts[start : start + 512], ngram_words=5)
        signatures_of(sets, num_perm=64, seed=1, num_used=num_used)
    return cpu_seconds() - begun, []


def ours(documents: str, out: Path) -> tuple[float, list[str]]:
    import datasketch  # noqa: F401 - the step would import it and Numba, and imports are not measured
    import numba  # noqa: F401

    from pipeline.sources.min_hash_step import MinHashDedup

    return cleaned(documents, out / "ours", MinHashDedup())


def passages(documents: str, out: Path) -> tuple[float, list[str]]:
    from pipeline.sources.passage_step import PassageDedup

    return cleaned(documents, out / "passages", PassageDedup())


def cleaned(documents: str, folder: Path, step: Any) -> tuple[float, list[str]]:
    """Runs the whole clean phase with one step. Returns its CPU seconds and the ids of the dropped documents."""
    import apache_beam as beam
    import pyarrow.dataset as ds

    from pipeline.clean.job import JobPlaces, JobSizes, SourceJob
    from pipeline.clean.sizing import scale_of
    from pipeline.clean.source_graph import CleanSource
    from pipeline.engine.runner import choose_engine
    from pipeline.engine.unit_list import ReadUnitList, write_unit_list
    from pipeline.files.files import open_file
    from pipeline.files.spill import Shuffle
    from pipeline.settings.inputs import list_inputs
    from pipeline.sources.c4 import C4Reader
    from pipeline.sources.source import Source

    begun = cpu_seconds()
    source = Source(name="c4", reader=C4Reader(), steps=(step,), cite="none")
    listing = list_inputs("c4", [documents])
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "spill").mkdir(parents=True)
    write_unit_list(str(folder / "units"), source.reader.units(list(listing.files), open_file))
    job = SourceJob(
        source=source, fingerprint="", models={}, sizes=JobSizes(scale=scale_of(listing.num_bytes), sample_docs=2),
        places=JobPlaces(
            units_path=str(folder / "units"), marker=str(folder / "marker.json"), stats_path=str(folder / "stats.json"),
            clean_dir=str(folder / "clean"), dropped_dir=str(folder / "dropped"), pairs_dir=str(folder / "dedup"),
            spill_dir=str(folder / "spill"), shuffle=Shuffle(str(folder / "spill")),
        ),
    )  # fmt: skip
    engine = choose_engine(["--direct_num_workers=1"])
    pipeline = beam.Pipeline(runner=engine.runner, options=engine.options)
    _ = pipeline | "units" >> ReadUnitList(job.places.units_path) | "clean" >> CleanSource(job)
    pipeline.run().wait_until_finish()
    seconds = cpu_seconds() - begun
    dropped = ds.dataset(str(folder / "dropped"), format="parquet").to_table(columns=["id"])
    return seconds, dropped.column("id").to_pylist()


def datatrove(documents: str, out: Path) -> tuple[float, list[str]]:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    begun = cpu_seconds()
    folder, config = out / "datatrove", MinhashConfig()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "in").mkdir(parents=True)
    os.symlink(Path(documents).resolve(), folder / "in" / "documents.jsonl.gz")
    reader = JsonlReader(str(folder / "in"), id_key="url", compression="gzip")
    sig, buckets, removed = str(folder / "sig"), str(folder / "buckets"), str(folder / "remove")
    stages: list[tuple[int, list[Any]]] = [
        (1, [reader, MinhashDedupSignature(output_folder=sig, config=config)]),
        (config.num_buckets, [MinhashDedupBuckets(input_folder=sig, output_folder=buckets, config=config)]),
        (1, [MinhashDedupCluster(input_folder=buckets, output_folder=removed, config=config)]),
        (1, [reader, MinhashDedupFilter(input_folder=removed, exclusion_writer=JsonlWriter(str(folder / "gone"))),
             JsonlWriter(str(folder / "kept"))]),
    ]  # fmt: skip
    for number, (tasks, steps) in enumerate(stages):
        LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=str(folder / f"log{number}")).run()
    seconds = cpu_seconds() - begun
    gone = [row["id"] for path in sorted((folder / "gone").glob("*")) for row in rows_of(str(path))]
    return seconds, gone


def rensa(documents: str, out: Path) -> tuple[float, list[str]]:
    from rensa import RMinHash, RMinHashDeduplicator

    begun = cpu_seconds()
    index = RMinHashDeduplicator(threshold=0.8, num_perm=128, use_lsh=True, num_bands=16)
    gone = []
    for row in rows_of(documents):
        words = re.findall(r"\w+", row["text"].lower())
        signature = RMinHash(num_perm=128, seed=42)
        signature.update([" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))])
        if index.is_duplicate(row["url"], signature):
            gone.append(row["url"])
        else:
            index.add(row["url"], signature)
    return cpu_seconds() - begun, gone


def text_dedup(documents: str, out: Path) -> tuple[float, list[str]]:
    import text_dedup as _  # noqa: F401 - an ImportError says that it is not installed
    from datasets import load_from_disk

    folder = out / "text_dedup"
    shutil.rmtree(folder, ignore_errors=True)
    begun = cpu_seconds()
    given = {
        "path": "json", "data_files": documents, "split": "train", "cache_dir": folder / "cache", "column": "text",
        "output": folder / "kept", "ngram": 5, "threshold": 0.8, "num_proc": 1, "batch_size": 1000,
    }  # fmt: skip
    flags = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    subprocess.run([sys.executable, "-m", "text_dedup.minhash", *flags], check=True, capture_output=True)
    seconds = cpu_seconds() - begun
    kept = set(load_from_disk(str(folder / "kept"))["url"])
    return seconds, [row["url"] for row in rows_of(documents) if row["url"] not in kept]


SYSTEMS: dict[str, Callable[[str, Path], tuple[float, list[str]]]] = {
    "signatures": signatures,
    "ours": ours,
    "passages": passages,
    "datatrove": datatrove,
    "rensa": rensa,
    "text_dedup": text_dedup,
}


def measure(name: str, documents: str, out: Path, answer: Any) -> None:
    try:
        seconds, gone = SYSTEMS[name](documents, out)
    except ImportError as error:
        answer.put((0.0, 0, f"left out: {error}"))
        return
    (out / f"{name}.removed").write_text("".join(f"{url}\n" for url in sorted(gone)))
    answer.put((seconds, len(gone), ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents")
    parser.add_argument("out", type=Path)
    parser.add_argument("--skip", nargs="*", default=[], choices=list(SYSTEMS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    num_bytes = sum(len(row["text"].encode()) for row in rows_of(args.documents))
    print(f"{num_bytes / 1e6:.1f} MB of text")
    spawn = multiprocessing.get_context("spawn")
    for name in SYSTEMS:
        if name in args.skip:
            continue
        answer = spawn.Queue()
        process = spawn.Process(target=measure, args=(name, args.documents, args.out, answer))
        process.start()
        process.join()
        if process.exitcode:
            print(f"{name}: failed with exit status {process.exitcode}")
            continue
        seconds, num_gone, why = answer.get()
        print(f"{name}: {why or f'{seconds:.1f} CPU s, {num_bytes / 1e6 / seconds:.1f} MB/s, {num_gone:,} removed'}")


if __name__ == "__main__":
    main()
