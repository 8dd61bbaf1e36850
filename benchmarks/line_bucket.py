"""Measures the memory that a worker of a distributed engine needs for the line dedup.

On such an engine, the hashes of all lines are divided into buckets, and a worker holds one whole bucket in memory.

    python benchmarks/line_bucket.py --million_lines 12
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from pipeline.clean.dedup.lines import _LostLines
from pipeline.clean.job import JobPlaces, JobSizes, SourceJob
from pipeline.clean.segments import GlobalStep
from pipeline.clean.sizing import Scale
from pipeline.sources.common_crawl import SOURCE
from pipeline.sources.dedup_steps import LineDedup


def bucket(num_lines: int, folder: Path) -> None:
    """Finds the repeated lines in one bucket of ``num_lines`` lines, as a distributed worker does. Prints the time and
    the peak memory.
    """
    job = SourceJob(
        source=SOURCE,
        fingerprint="",
        models={},
        sizes=JobSizes(scale=Scale(num_parts=8192, num_line_buckets=8192, num_key_buckets=8192), sample_docs=0),
        places=JobPlaces(
            units_path="",
            marker="",
            stats_path="",
            spill_dir=str(folder),
            clean_dir="",
            dropped_dir="",
        ),
    )
    ((tag, step),) = [(tag, step) for tag, step in enumerate(SOURCE.steps, 1) if isinstance(step, LineDedup)]
    payloads = _payloads(num_lines)
    given = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    begun = time.process_time()
    num_lost = sum(
        (len(element[1]) - 17) // 8
        for element in _LostLines(job, GlobalStep(tag, step)).process((0, payloads))
        if isinstance(element, tuple)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size, seconds = sum(map(len, payloads)) / 1e9, time.process_time() - begun
    print(f"{num_lines / 1e6:g} million lines, {len(payloads):,} payloads of {size:.2f} GB: {num_lost:,} lost")
    print(f"{seconds:.0f} s; peak {peak / 1e9:.2f} GB, of it program and payloads {given / 1e9:.2f} GB")


def _payloads(num_lines: int, lines_a_payload: int = 8) -> list[bytes]:
    """Makes the records of one bucket, with random hashes of lines. Each record has ``lines_a_payload`` lines, all from
    one batch of documents.

    Half of the lines occur in two batches. This is similar to real pages, where the dedup drops 44 % of the lines.
    """
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**52, num_lines * 3 // 4, np.uint64)
    hashes = np.concatenate([hashes, hashes[: num_lines - len(hashes)]])
    rng.shuffle(hashes)
    payloads = []
    for start in range(0, num_lines, lines_a_payload):
        part = np.sort(hashes[start : start + lines_a_payload])
        head = start.to_bytes(12, "big") + len(part).to_bytes(4, "big")
        payloads.append(head + part.tobytes() + bytes(len(part)))
    return payloads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million_lines", type=float, default=12)
    with tempfile.TemporaryDirectory() as folder:
        bucket(int(parser.parse_args().million_lines * 1e6), Path(folder))


if __name__ == "__main__":
    main()
