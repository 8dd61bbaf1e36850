"""Runs the pipeline over gigabytes of distinct text on a real engine, and compares the output with a local run.

    CORPUS_DATA=DIR python benchmarks/engine_run.py --folder DIR --cache DIR [--engine flink] [--gigabytes 5]

Starts Flink with two TaskManagers, or Spark with two workers, as ``make test-engines`` does (``tests/engines``); the
cache is that of these tests. ``fast_pages.py`` makes the input. Each run cleans it with ``llama.yaml`` and the sample's
models, trains a tokenizer, and mixes. The local run has two processes.

Prints a line of JSON per run: seconds, CPU seconds of all processes, and the largest memory (proportional set size) of
one process of each kind. A kind is, for example, ``taskmanager`` (Java) or ``worker`` (Python). The folder needs twice
the text in disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cloud"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "engines"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from equal import assert_equal
from flink import Flink
from java_engines import FLINK, FLINK_VERSION, SPARK, engine_home, job_server
from spark import Spark
from started import process_workers

from benchmarks.fast_pages import FastPages, write_fast_wets
from benchmarks.large_run import SOURCE, name_of, size_of
from benchmarks.web_pages import real_pages

ROOT = Path(__file__).resolve().parents[1]
_KINDS = {
    "TaskManagerRunner": "taskmanager", "StandaloneSessionClusterEntrypoint": "jobmanager", "job-server": "job server",
    "CoarseGrainedExecutorBackend": "executor", "deploy.worker.Worker": "spark worker", "deploy.master": "master",
    "pipeline.run": "run", "pipeline.engine.worker": "worker", "multiprocessing": "worker",
}  # fmt: skip
"""Words in the command of a process that tell its kind."""


def kind_of(process: psutil.Process) -> str:
    """Returns the kind of a process, or "other"."""
    command = " ".join(process.cmdline())
    return next((kind for word, kind in _KINDS.items() if word in command), "other")


class Watch:
    """Measures all processes that this program has started, once a second."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}
        self.together = 0.0
        self._seconds: dict[tuple[int, float], float] = {}

    def look(self) -> None:
        """Measures the processes that run now."""
        together = 0.0
        for process in psutil.Process().children(recursive=True):
            try:
                kind, memory = kind_of(process), process.memory_full_info().pss / 1e6
                times = process.cpu_times()
                self._seconds[process.pid, process.create_time()] = times.user + times.system
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            together += memory
            self.largest[kind] = max(self.largest.get(kind, 0.0), memory)
        self.together = max(self.together, together)

    @property
    def cpu_seconds(self) -> float:
        """The CPU seconds of all processes that were seen. The last second of a process may be missing."""
        return sum(self._seconds.values())


def measured(folder: Path, name: str, flags: list[str]) -> dict[str, Any]:
    """Runs the pipeline into ``folder/out-NAME``. Returns what was measured.

    Raises:
        SystemExit: the run failed; the end of its log is shown.
    """
    out, log, config = folder / f"out-{name}", folder / f"run-{name}.log", folder / "run.yaml"
    config.write_text(yaml.safe_dump({
        "recipe": "llama", "models": str(ROOT / "samples" / "models"),
        "mixture": {"weights": {SOURCE: 100}, "max_epochs": 1}, "inputs": {SOURCE: str(folder / name_of(0) / "*.gz")},
    }))  # fmt: skip
    command = [sys.executable, "-m", "pipeline.run", f"--config={config}", f"--output={out}", f"--sources={SOURCE}"]
    watch, begun = Watch(), time.monotonic()
    watch.look()
    before = watch.cpu_seconds
    with log.open("w") as sink:
        run = subprocess.Popen([*command, *flags], cwd=ROOT, stdout=sink, stderr=sink,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
        while run.poll() is None:
            watch.look()
            time.sleep(1)
    if run.returncode:
        sys.exit(f"{name} ended with {run.returncode}:\n{log.read_text()[-3000:]}")
    manifest = json.loads((out / "manifest.json").read_text())
    return {
        "run": name, "seconds": round(time.monotonic() - begun), "cpu_seconds": round(watch.cpu_seconds - before),
        "memory_mb": round(watch.together), "largest_mb": {k: round(v) for k, v in sorted(watch.largest.items())},
        "documents": manifest["documents"], "tokens": manifest["tokens"],
    }  # fmt: skip


def cluster_of(engine: str, folder: Path, cache: Path) -> Flink | Spark:
    """Returns the engine, which is not started yet."""
    package = FLINK[FLINK_VERSION] if engine == "flink" else SPARK
    kinds: Mapping[str, type[Flink] | type[Spark]] = {"flink": Flink, "spark": Spark}
    return kinds[engine](folder / engine, engine_home(cache, package), job_server(cache, package))


def main() -> None:
    """Makes the input, runs the pipeline locally and on the engine, and compares the outputs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="input, outputs and logs")
    parser.add_argument("--cache", type=Path, required=True, help="the engines, as ENGINES_CACHE of make test-engines")
    parser.add_argument("--engine", choices=("flink", "spark"), default="flink", help="(default: flink)")
    parser.add_argument("--gigabytes", type=float, default=5, help="text of the pages, in GB (default: 5)")
    args = parser.parse_args()
    folder: Path = args.folder.resolve()
    data = Path(os.environ.get("CORPUS_DATA") or sys.exit("CORPUS_DATA must name the folder of real input"))
    made = folder / "made.json"
    if made.exists() and json.loads(made.read_text()) != args.gigabytes:
        parser.error(f"{folder} has input of {made.read_text()} GB: name another folder")
    shutil.rmtree(folder / f"out-{args.engine}", ignore_errors=True)
    if not (folder / name_of(0)).exists():
        pages = real_pages([str(p) for p in sorted(data.glob("commoncrawl/wrapped/wet/*.gz"))], only_english=False)
        part = folder / "part"
        write_fast_wets(part, iter(FastPages(pages, 0)), dump=name_of(0), text_bytes=int(args.gigabytes * 1e9))
        part.rename(folder / name_of(0))
        made.write_text(json.dumps(args.gigabytes))
    print(json.dumps({"input_gb": round(size_of(folder / name_of(0)), 2), "text_gb": args.gigabytes}), flush=True)
    if not (folder / "out-local" / "manifest.json").exists():
        print(json.dumps(measured(folder, "local", ["--direct_num_workers=2"])), flush=True)
    with cluster_of(args.engine, folder, args.cache.resolve()) as cluster:
        workers = process_workers(folder, sys.executable, ROOT)
        print(json.dumps(measured(folder, args.engine, [*cluster.flags, *workers])), flush=True)
    assert_equal(folder / f"out-{args.engine}", folder / "out-local")
    print("the outputs are equal")


if __name__ == "__main__":
    main()
