"""Measures whole runs: CPU seconds per MB of the clean phase of each source, and of tokenizing and mixing.

    CORPUS_DATA=DIR python benchmarks/whole_runs.py [--sources A,B] [--megabytes 100 400] [--rounds 1] [--profile]
                                                    [--write pipeline/scale/rates.json] [--scratch DIR]

Each source is cleaned twice, from input of two sizes. ``multiplied.py`` makes this input from real files. The
difference between the two runs gives the CPU seconds per MB, without the time to start. For comparison, the table also
has the CPU seconds of the same work without Beam: the reader, the join, all local steps, and the keys of the dedups,
which are sorted in memory. This leaves out what a run adds: grouping, spilling, counting, and writing. A line below has
the speed of each library that the source cannot do without (``bare_kernels.py``).

Runs use one process. Seconds are the user and system time of the process and its children, not wall time, because other
programs may use the machine. If there are several rounds, the smallest time counts, because other programs can only add
time.

There are two rates. One is per MB of the published input after decompression (XML, wikitext, JSON). The other is per MB
of the text that the reader or the join yields, before any step. ``--write`` names the file for the rates.
``pipeline.scale`` and the README use this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.multiplied import MAKERS, made_bytes, make_input

ROOT = Path(__file__).resolve().parents[1]
CHILD = str(ROOT / "benchmarks" / "whole_run_child.py")
BARE = str(ROOT / "benchmarks" / "bare_kernels.py")
MIXED = "c4"
"""The source whose clean documents are tokenized and mixed. Its documents have the mean length of web pages."""


def cpu_seconds(command: Sequence[str]) -> tuple[float, float, str]:
    """Runs a command. Returns its CPU seconds, its peak memory in MB, and its output.

    Raises:
        SystemExit: the command failed; its output is shown.
    """
    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=log, env={**os.environ, "PYTHONPATH": "."})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read().decode()
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)}\nended with {process.returncode}:\n{printed}{log.read().decode()}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, printed


def run_arguments(folder: Path, source: str, models: str, output: Path, *flags: str) -> list[str]:
    """Writes the configuration file of a run of one source. Returns the arguments of the run."""
    config = folder / "run.yaml"
    made = json.loads((folder / "made.json").read_text())
    settings = {
        "recipe": "llama",
        "models": models,
        "mixture": {"missing": "share"},
        "tokenizer": {"vocab_size": 8000},
        "inputs": {source: made["globs"]},
    }
    config.write_text(yaml.safe_dump(settings))
    return [f"--config={config}", f"--sources={source}", f"--output={output}", "--direct_num_workers=1", *flags]


def clean(folder: Path, source: str, models: str, output: Path) -> tuple[float, float]:
    """Deletes earlier output, and then cleans a source. Returns CPU seconds and peak memory in MB."""
    shutil.rmtree(output, ignore_errors=True)
    arguments = run_arguments(folder, source, models, output, "--phase=clean")
    return cpu_seconds([sys.executable, "-m", "pipeline.run", *arguments])[:2]


def text_megabytes(output: Path, source: str) -> float:
    """Returns the MB of text that a source's first step got, from the statistics of a run."""
    stats = json.loads((output / "stats" / f"{source}.json").read_text())
    return float(stats["bytes"]["in"]) / 1e6


def measure_source(
    source: str, folders: list[Path], scratch: Path, models: str, *, rounds: int, is_profiled: bool
) -> dict[str, Any]:
    """Cleans one source with input of two sizes. Returns the speeds, the time to start, and the peak memory."""
    outputs = [scratch / f"out-{folder.name}" for folder in folders]
    seconds: list[list[float]] = [[], []]
    peaks, kernels = [0.0, 0.0], []
    for _ in range(rounds):
        for index, (folder, output) in enumerate(zip(folders, outputs, strict=True)):
            used, peaks[index] = clean(folder, source, models, output)
            seconds[index].append(used)
        globs = json.loads((folders[1] / "made.json").read_text())["globs"]
        command = [sys.executable, CHILD, "kernels", source, *globs, "--models", models]
        kernels.append(json.loads(cpu_seconds(command)[2].splitlines()[-1]))
    small, large = (min(s) for s in seconds)
    text = [text_megabytes(output, source) for output in outputs]
    stored = [made_bytes(folder) / 1e6 for folder in folders]
    bare = min(k["seconds"] for k in kernels)
    per_mb = (large - small) / (stored[1] - stored[0])
    found = {
        "input_mb": [round(s, 1) for s in stored],
        "text_mb": [round(t, 1) for t in text],
        "seconds": [round(small, 1), round(large, 1)],
        "input_mb_per_s": round(1 / per_mb, 2),
        "text_mb_per_s": round((text[1] - text[0]) / (large - small), 2),
        "kernels_input_mb_per_s": round(stored[1] / bare, 2),
        "whole_by_kernels": round(per_mb / (bare / stored[1]), 2),
        "start_seconds": round(small - per_mb * stored[0], 1),
        "peak_mb": round(max(peaks)),
        "libraries_input_mb_per_s": library_rates(source, folders[0], models, outputs[0], stored[0]),
    }
    if is_profiled:
        output = scratch / "out-profile"
        shutil.rmtree(output, ignore_errors=True)
        arguments = run_arguments(folders[0], source, models, output, "--phase=clean")
        found["profile"] = json.loads(cpu_seconds([sys.executable, CHILD, "profile", *arguments])[2])
    return found


def library_rates(source: str, folder: Path, models: str, output: Path, megabytes: float) -> dict[str, float]:
    """Returns the MB of input per second of each library that a source needs (``bare_kernels.py``)."""
    globs = json.loads((folder / "made.json").read_text())["globs"]
    command = [sys.executable, BARE, source, *globs, "--models", models, "--output", str(output)]
    seconds: dict[str, float] = json.loads(cpu_seconds(command)[2].splitlines()[-1])
    return {name: round(megabytes / used, 1) for name, used in seconds.items() if used}


def measure_mix(folders: list[Path], scratch: Path, models: str, *, rounds: int) -> dict[str, Any]:
    """Tokenizes and mixes one source's clean documents (:data:`MIXED`) in two sizes. Returns speed and peak memory."""
    outputs = [scratch / f"out-{folder.name}" for folder in folders]
    for folder, output in zip(folders, outputs, strict=True):
        clean(folder, MIXED, models, output)
    tokenizer = scratch / "mix-tokenizer.model"
    if not tokenizer.exists():
        cpu_seconds(
            [sys.executable, "-m", "pipeline.run", *run_arguments(folders[0], MIXED, models, outputs[0], "--phase=mix")]
        )
        shutil.copy(outputs[0] / "tokenizer.model", tokenizer)
        clean(folders[0], MIXED, models, outputs[0])
    seconds: list[list[float]] = [[], []]
    peak = tokens = 0.0
    for _ in range(rounds):
        for index, (folder, output) in enumerate(zip(folders, outputs, strict=True)):
            flags = ("--phase=mix", f"--tokenizer={tokenizer}", f"--from={output}")
            mixed = scratch / "out-mix"
            shutil.rmtree(mixed, ignore_errors=True)
            used, peak, _ = cpu_seconds(
                [sys.executable, "-m", "pipeline.run", *run_arguments(folder, MIXED, models, mixed, *flags)]
            )
            seconds[index].append(used)
            tokens = json.loads((mixed / "manifest.json").read_text())["tokens"]
    small, large = (min(s) for s in seconds)
    text = [kept_megabytes(output) for output in outputs]
    per_mb = (large - small) / (text[1] - text[0])
    return {
        "text_mb": [round(t, 1) for t in text],
        "seconds": [round(small, 1), round(large, 1)],
        "text_mb_per_s": round(1 / per_mb, 2),
        "bytes_per_token": round(text[1] * 1e6 / tokens, 2),
        "start_seconds": round(small - per_mb * text[0], 1),
        "peak_mb": round(peak),
    }


def kept_megabytes(output: Path) -> float:
    """Returns the MB of text that cleaning kept of the source :data:`MIXED`."""
    stats = json.loads((output / "stats" / f"{MIXED}.json").read_text())
    return float(stats["bytes"]["kept"]) / 1e6


def print_table(rates: dict[str, Any]) -> None:
    """Prints one line per source."""
    print(f"{'source':15} {'input MB':>13} {'MB/s':>6} {'kernels':>8} {'ratio':>6} {'text MB/s':>10} {'start s':>8} "
          f"{'peak MB':>8}")  # fmt: skip
    for name, r in rates["sources"].items():
        sizes = "-".join(f"{s:.0f}" for s in r["input_mb"])
        print(f"{name:15} {sizes:>13} {r['input_mb_per_s']:>6} {r['kernels_input_mb_per_s']!s:>8} "
              f"{r['whole_by_kernels']!s:>6} {r['text_mb_per_s']:>10} {r['start_seconds']:>8} "
              f"{r['peak_mb']:>8}")  # fmt: skip
        rates_alone = ", ".join(f"{name} {rate}" for name, rate in r.get("libraries_input_mb_per_s", {}).items())
        print(f"    libraries alone, MB/s: {rates_alone}")
        for entry, share in r.get("profile", ()):
            print(f"    {share:5.1f} %  {entry}")
    if r := rates.get("mix"):
        sizes = "-".join(f"{s:.0f}" for s in r["text_mb"])
        print(f"{'tokenize + mix':15} {sizes:>13} {r['text_mb_per_s']:>6} {'':>26} {r['start_seconds']:>8} "
              f"{r['peak_mb']:>8}")  # fmt: skip


def main() -> None:
    """Runs the measurements and prints them. If ``--write`` is given, also writes them to a file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sources", default=",".join(MAKERS), help="names, with commas (default: all)")
    parser.add_argument("--megabytes", type=int, nargs=2, default=[100, 400], help="the two sizes (default: 100 400)")
    parser.add_argument(
        "--models", default=str(ROOT / "samples" / "models"),
        help="folder of models (default: the sample's, whose KenLM model is small and not compiled)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=1, help="times that each run is repeated")
    parser.add_argument("--skip-mix", action="store_true", help="do not tokenize and mix")
    parser.add_argument(
        "--profile", action="store_true", help="tell the ten functions with most CPU time of each source"
    )
    parser.add_argument("--write", type=Path, help="the file of rates; sources that were not measured stay in it")
    parser.add_argument("--scratch", type=Path, help="keep made input and outputs here")
    args = parser.parse_args()
    data = Path(os.environ.get("CORPUS_DATA") or sys.exit("CORPUS_DATA must name the folder of real input"))
    rates: dict[str, Any] = {"sources": {}}
    if args.write and args.write.exists():
        rates = json.loads(args.write.read_text())
    with tempfile.TemporaryDirectory() as temporary:
        scratch = args.scratch or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        for source in args.sources.split(","):
            folders = folders_of(source, data, scratch, args.megabytes)
            rates["sources"][source] = measure_source(
                source, folders, scratch, args.models, rounds=args.rounds, is_profiled=args.profile
            )
            print(json.dumps({source: rates["sources"][source]}), file=sys.stderr, flush=True)
        if not args.skip_mix:
            rates["mix"] = measure_mix(
                folders_of(MIXED, data, scratch, args.megabytes), scratch, args.models, rounds=args.rounds
            )
    rates["sources"] = {name: rates["sources"][name] for name in MAKERS if name in rates["sources"]}
    rates["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, one process"
    print_table(rates)
    if args.write:
        args.write.write_text(json.dumps(rates, indent=1) + "\n")


def folders_of(source: str, data: Path, scratch: Path, megabytes: Sequence[int]) -> list[Path]:
    """Makes the input of a source in two sizes. Returns the two folders."""
    folders = [scratch / f"{source}-{size}" for size in megabytes]
    for folder, size in zip(folders, megabytes, strict=True):
        make_input(source, data, folder, size * 10**6)
    return folders


if __name__ == "__main__":
    main()
