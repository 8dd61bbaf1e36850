"""Measures whole runs of the pipeline on real input: the seconds and the peak memory of each run.

    CORPUS_DATA=DIR python benchmarks/all_sources.py [--workers N] [--output DIR] [--skip-single]

There is one run per source, which only cleans the source, and one run that cleans, tokenizes and mixes all sources with
the paper's recipe. Each run is a separate process, which is measured from start to exit. Memory is the proportional set
size of this process and its children, read ten times per second: a memory page that several processes share counts
once.

The runs use the small models in ``samples/models``, which are good enough to measure speed and memory. The numbers of
kept documents are not realistic: with CCNet's published models, a run would keep a different number of pages.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[1]
INPUTS = {
    "common_crawl": [
        "commoncrawl/wrapped/wet/*.warc.wet.gz",
        "commoncrawl/commoncrawl+whirlwind-python/whirlwind.warc.wet.gz",
        "commoncrawl/chatnoir-eu+chatnoir-resiliparse/tests/data/*.warc.gz",
        "commoncrawl/webrecorder+warcio/test/data/*.warc*",
        "commoncrawl/iipc+webarchive-commons/**/*.warc*",
        "commoncrawl/apache+stormcrawler/**/*.warc.gz",
        "commoncrawl/allenai+dolma/tests/data/warc/*.warc.gz",
    ],
    "c4": ["c4/wrapped/*.json.gz"],
    "github": ["github/dev/*.json.gz"],
    "wikipedia": [
        "wikipedia/wrapped-dev/*.xml.bz2",
        "wikipedia/*/*.xml.bz2",
        "wikipedia/en/*.xml",
        "wikipedia/other/smallwiki-*.xml",
    ],
    "books": ["books/**/*.txt"],
    "arxiv": ["arxiv/src-dev/*.tar", "arxiv/verbatim/*"],
    "stack_exchange": ["stackexchange/**/Posts.xml", "stackexchange/wrapped-7z/*.7z"],
}


def settings(data: Path, sources: list[str]) -> dict[str, Any]:
    """Returns the config of a run with the paper's recipe on ``sources``.

    Some sources have little text in the 75 MB of input. So the config allows 4 epochs: a text may be used four times.
    """
    return {
        "recipe": "llama",
        "mixture": {"missing": "error", "max_epochs": 4},
        "tokenizer": {"vocab_size": 8000},
        "models": str(ROOT / "samples" / "models"),
        "inputs": {source: [str(data / glob) for glob in INPUTS[source]] for source in sources},
    }


def measured(command: list[str]) -> tuple[float, int]:
    """Runs a command. Returns its wall time in seconds, and the peak memory of all its processes together in bytes.

    Raises:
        SystemExit: the command failed; its output is shown.
    """
    begun = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)}\nended with {process.returncode}:\n{log.read().decode()}")
    return time.monotonic() - begun, peak


def resident(pid: int) -> int:
    """Returns the proportional set size in bytes of a process and its children. Returns 0 if the process has ended."""
    total = 0
    try:
        for process in [root := psutil.Process(pid), *root.children(recursive=True)]:
            total += process.memory_full_info().pss
    except psutil.Error:
        pass
    return total


def main() -> None:
    """Runs the measurements and prints them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, help="processes (default: what the run chooses)")
    parser.add_argument("--output", type=Path, help="keep the whole run's output here")
    parser.add_argument("--skip-single", action="store_true", help="only the run of all sources together")
    args = parser.parse_args()
    data = Path(os.environ.get("CORPUS_DATA") or sys.exit("CORPUS_DATA must name the folder of real input"))
    workers = [f"--direct_num_workers={args.workers}"] if args.workers else []
    with tempfile.TemporaryDirectory() as scratch:
        whole = args.output or Path(scratch) / "all"
        lines = []
        jobs = [] if args.skip_single else [([source], ["--phase=clean"]) for source in INPUTS]
        for sources, flags in [*jobs, (list(INPUTS), [])]:
            name = sources[0] if len(sources) == 1 else "all"
            config = Path(scratch) / f"{name}.yaml"
            config.write_text(yaml.safe_dump(settings(data, sources)))
            place = whole if name == "all" else Path(scratch) / name
            command = [sys.executable, "-m", "pipeline.run", f"--config={config}", f"--output={place}", *workers]
            command += [f"--sources={','.join(sources)}", *flags]
            lines.append((name, *measured(command)))
        print_table(whole, lines)


def print_table(whole: Path, lines: list[tuple[str, float, int]]) -> None:
    """Prints one line per source: the numbers of documents read and kept, the seconds and the peak memory of the run,
    and the source's share of the mixture.
    """
    manifest = json.loads((whole / "manifest.json").read_text())
    stats = {s: json.loads((whole / "stats" / f"{s}.json").read_text()) for s in INPUTS}
    print(f"{'source':15} {'docs in':>8} {'kept':>7} {'MB in':>7} {'seconds':>8} {'peak MB':>8} "
          f"{'tokens':>9} {'weight':>7} {'share':>8} {'epochs':>7}")  # fmt: skip
    for name, seconds, peak in lines:
        head = f"{name:15}"
        if name == "all":
            num_in, kept = (sum(s["documents"][k] for s in stats.values()) for k in ("in", "kept"))
            num_bytes, tokens = sum(f["bytes"] for f in manifest["inputs"].values()), manifest["tokens"]
            mixture = ""
        else:
            source, about = manifest["sources"][name], stats[name]["documents"]
            num_in, kept, num_bytes = about["in"], about["kept"], manifest["inputs"][name]["bytes"]
            tokens = source["tokens"]
            mixture = f" {source['weight']:>7} {source['share']:>8.4f} {source['epochs']:>7.3f}"
        print(f"{head} {num_in:>8} {kept:>7} {num_bytes / 1e6:>7.1f} {seconds:>8.1f} {peak / 1e6:>8.0f} "
              f"{tokens:>9}{mixture}")  # fmt: skip


if __name__ == "__main__":
    main()
