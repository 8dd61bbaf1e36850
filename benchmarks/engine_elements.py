"""Measures what an engine adds for each element that it sends from one stage to the next.

    PYTHONPATH=. python benchmarks/engine_elements.py [--elements 1000000 5000000] [FLAGS OF THE ENGINE]

The flags are those of ``pipeline.run``, for example ``--runner=FlinkRunner --job_endpoint=HOST:PORT
--environment_type=PROCESS ...``. Without flags the local runner is measured, with one worker process.

Elements are pairs of a key and 100 bytes, which is the size of a key of an exact dedup. They are made in one stage,
grouped by 4,096 keys, and counted in the next stage. A second job makes and counts the same elements without sending
them. All processes of the machine are measured, because the engine's servers work too: run nothing else beside it. The
result is the CPU time per element, between the two sizes, so the start of the job is not in it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
import psutil
from apache_beam.options.pipeline_options import PipelineOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.engine.runner import LocalRunner

NUM_KEYS = 4096
_SEEDS = 64


def made(seed: int, number: int) -> Iterator[tuple[int, bytes]]:
    """Yields ``number`` pairs of a key and 100 bytes."""
    for index in range(seed, seed + number * _SEEDS, _SEEDS):
        yield index * 2654435761 % NUM_KEYS, b"%0100d" % index


def size_of_group(_: int, payloads: Iterable[bytes]) -> int:
    """Returns the number of payloads of a key."""
    return sum(1 for _ in payloads)


def size_of_unsent(pairs: Iterable[tuple[int, bytes]]) -> int:
    """Returns the number of pairs."""
    return sum(1 for _ in pairs)


def busy() -> float:
    """Returns the CPU seconds that all processes of the machine have used."""
    now = psutil.cpu_times()
    return float(now.user + now.nice + now.system)


def seconds_of(number: int, flags: list[str], *, is_sent: bool) -> tuple[float, float]:
    """Runs a job with ``number`` elements. Returns its CPU seconds and its seconds.

    Raises:
        RuntimeError: the job failed.
    """
    named = [flag for flag in flags if flag.startswith("--runner")]
    begun, before = time.monotonic(), busy()
    pipeline = beam.Pipeline(runner=None if named else LocalRunner(), options=PipelineOptions(flags))
    seeds = pipeline | beam.Create(range(_SEEDS)) | beam.Reshuffle()
    each = number // _SEEDS
    if is_sent:
        pairs = seeds | beam.FlatMap(made, each).with_output_types(tuple[int, bytes])
        sizes = pairs | beam.GroupByKey() | beam.MapTuple(size_of_group)
    else:
        sizes = seeds | beam.Map(lambda seed: size_of_unsent(made(seed, each)))
    _ = sizes | beam.CombineGlobally(sum) | beam.Map(_checked, each * _SEEDS)
    state = pipeline.run().wait_until_finish()
    if state != "DONE":
        raise RuntimeError(f"the job ended with {state}")
    return busy() - before, time.monotonic() - begun


def _checked(found: int, expected: int) -> None:
    assert found == expected, (found, expected)


def main() -> None:
    """Runs the four jobs twice, and prints the CPU time per element."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--elements", type=int, nargs=2, default=[1_000_000, 5_000_000], metavar="NUMBER",
                        help="elements of the two sizes (default: 1000000 5000000)")  # fmt: skip
    args, flags = parser.parse_known_args()
    small, large = args.elements
    per_element = {}
    for is_sent in (True, False):
        used = {number: min(seconds_of(number, flags, is_sent=is_sent) for _ in range(2)) for number in (small, large)}
        per_element[is_sent] = (used[large][0] - used[small][0]) / (large - small) * 1e6
        print(f"{'sent' if is_sent else 'not sent'}: " + ", ".join(
            f"{number:,} elements in {cpu:.1f} CPU s ({clock:.1f} s)" for number, (cpu, clock) in used.items()
        ), flush=True)  # fmt: skip
    print(f"{per_element[True] - per_element[False]:.1f} µs of CPU for each element that is sent")


if __name__ == "__main__":
    main()
