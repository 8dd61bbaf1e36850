"""Cleans a corpus of tens of gigabytes on one machine, dump by dump, and tells time, memory and disk of each dump.

    CORPUS_DATA=DIR python benchmarks/large_run.py --folder DIR [--gigabytes 50] [--dumps 5] [--workers 2]

``fast_pages.py`` makes the input: WET files of generated pages, a folder per dump of CommonCrawl. No page occurs twice.
A dump is made, and then one call of ``pipeline.run`` with all dumps so far cleans it, as a user does who adds a dump
every month. The call skips the dumps that are complete. While it runs, the memory of its processes and the size of the
output's work folder are measured once a second.

Memory is the sum of the proportional set sizes (PSS) of all processes of the run, and the largest of one process. A
complete dump is not made or cleaned again, so a stopped measurement can be continued: results are kept in
``results.json`` in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fast_pages import FastPages, write_fast_wets
from benchmarks.web_pages import real_pages

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "common_crawl"


def name_of(number: int) -> str:
    """Returns the name of a dump, for example ``CC-MAIN-2019-09``."""
    return f"CC-MAIN-2019-{number + 9:02d}"


def memory(process: psutil.Process) -> tuple[float, float]:
    """Returns the memory in MB of a process with all processes that it started: the sum, and the largest of one."""
    found = []
    try:
        everyone = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0, 0.0
    for one in everyone:
        try:
            found.append(one.memory_full_info().pss / 1e6)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return (sum(found), max(found)) if found else (0.0, 0.0)


def size_of(folder: Path) -> float:
    """Returns the size in GB of all files in a folder."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(directory, name)).st_size
            except FileNotFoundError:  # the run deleted it
                continue
    return total / 1e9


def watched(command: list[str], log: Path, work: Path) -> dict[str, Any]:
    """Runs a command. Returns its seconds, its CPU seconds, its largest memory and the largest size of ``work``.

    Raises:
        SystemExit: the command failed; the end of its log is shown.
    """
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    most_sum = most_one = most_disk = 0.0
    with log.open("w") as sink:
        child = psutil.Popen(command, cwd=ROOT, stdout=sink, stderr=sink, env={**os.environ, "PYTHONPATH": str(ROOT)})
        while child.poll() is None:
            together, one = memory(child)
            most_sum, most_one = max(most_sum, together), max(most_one, one)
            most_disk = max(most_disk, size_of(work))
            time.sleep(1)
    if child.returncode:
        sys.exit(f"{' '.join(command)}\nended with {child.returncode}:\n{log.read_text()[-3000:]}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(time.monotonic() - begun),
        "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime),
        "memory_mb": round(most_sum),
        "largest_process_mb": round(most_one),
        "work_gb": round(most_disk, 2),
    }


def clean_next(folder: Path, number: int, workers: int) -> dict[str, Any]:
    """Cleans one more dump, after the dumps before it. Returns what was measured."""
    output, config = folder / "out", folder / "run.yaml"
    globs = [str(folder / name_of(n) / "*.wet.gz") for n in range(number + 1)]
    config.write_text(yaml.safe_dump({"recipe": "llama", "models": str(ROOT / "samples" / "models"),
                                      "mixture": {"missing": "share"}, "inputs": {SOURCE: globs}}))  # fmt: skip
    command = [sys.executable, "-m", "pipeline.run", f"--config={config}", f"--output={output}", "--phase=clean",
               f"--sources={SOURCE}", f"--direct_num_workers={workers}"]  # fmt: skip
    found = watched(command, folder / f"run-{number}.log", output / ".work")
    stats = json.loads((output / "stats" / f"{SOURCE}.json").read_text())
    return {**found, "documents": stats["documents"], "text_bytes": stats["bytes"], "output_gb": size_of(output)}


def main() -> None:
    """Makes and cleans the dumps in turn. Prints a line of JSON per dump."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--folder", type=Path, required=True, help="input, output and results; needs 0.8 times the text in disk"
    )
    parser.add_argument("--gigabytes", type=float, default=50, help="text of all dumps, in GB (default: 50)")
    parser.add_argument("--dumps", type=int, default=5, help="number of dumps (default: 5)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the run (default: 2)")
    args = parser.parse_args()
    data = Path(os.environ.get("CORPUS_DATA") or sys.exit("CORPUS_DATA must name the folder of real input"))
    pages = real_pages([str(p) for p in sorted(data.glob("commoncrawl/wrapped/wet/*.gz"))], only_english=False)
    results = args.folder / "results.json"
    found: list[dict[str, Any]] = json.loads(results.read_text()) if results.exists() else []
    for number in range(len(found), args.dumps):
        dump, part = args.folder / name_of(number), args.folder / f"{name_of(number)}.part"
        text_bytes = int(args.gigabytes * 1e9 / args.dumps)
        if not dump.exists():
            write_fast_wets(part, iter(FastPages(pages, number)), dump=name_of(number), text_bytes=text_bytes)
            part.rename(dump)
        found.append({"dump": name_of(number), "text_gb": text_bytes / 1e9, "input_gb": round(size_of(dump), 2),
                      **clean_next(args.folder, number, args.workers)})  # fmt: skip
        results.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(found[-1]), flush=True)


if __name__ == "__main__":
    main()
