"""Compares whole runs from WET files to token files: English, C4's rules, near duplicates, tokens.

    CORPUS_DATA=DIR python benchmarks/end_to_end.py --tokenizer MODEL --tokenizer_json JSON [--datatrove PYTHON]
                                                    [--dolma PYTHON] [--megabytes 60] [--scratch DIR]

``multiplied.py`` makes the WET files from real pages. Each system reads them with one process, keeps English pages,
applies C4's rules to lines and pages, removes duplicates, and writes token files with a LLaMA tokenizer. The result is
in CPU seconds of the processes with their start, because users pay for the start too. ``PYTHON`` is the interpreter of
an environment with the peer.

The systems do not do exactly the same:

- This project counts a reason for every document and writes the dropped documents, a report, and shuffled and weighted
  shards with checksums. It compares near duplicates exactly (recall and precision are in ``near_dedup.py``), and leaves
  each repeated line in one page, as C4 does.
- datatrove estimates near duplicates with MinHash, and does not compare lines.
- dolma removes repeated paragraphs with a Bloom filter, which also removes some that are not repeated, and does not
  look for near duplicates.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.multiplied import make_input
from benchmarks.whole_runs import MODELS, ROOT, cpu_seconds
from pipeline.models.find import find_models

PEER = str(ROOT / "benchmarks" / "end_to_end_peer.py")


def ours(wets: Path, tokenizer: str, out: Path) -> dict[str, Any]:
    """Runs the pipeline with C4's steps on WET files. Returns CPU seconds, peak memory, documents and tokens."""
    shutil.rmtree(out, ignore_errors=True)  # a finished output would not be made again
    config = out.with_suffix(".yaml")
    settings = {
        "recipe": "llama",
        "models": MODELS,
        "mixture": {"weights": {"c4": 100}, "max_epochs": 1},
        "inputs": {"c4": f"{wets}/*.wet.gz"},
        "sources": {"c4": {"near_dedup": {}}},
    }
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "pipeline.run", f"--config={config}", f"--output={out}", "--sources=c4",
               f"--tokenizer={tokenizer}", "--direct_num_workers=1"]  # fmt: skip
    seconds, peak, _ = cpu_seconds(command)
    stats = json.loads((out / "stats" / "c4.json").read_text())
    tokens = json.loads((out / "manifest.json").read_text())["tokens"]
    return {"cpu_seconds": seconds, "peak_mb": peak, "kept": stats["documents"]["kept"], "tokens": tokens}


def peer(name: str, python: str, wets: Path, tokenizer: str, out: Path) -> dict[str, Any]:
    """Runs a peer's chain in its own environment. Returns what :func:`ours` returns."""
    command = [python, PEER, name, str(wets), str(find_models(None)["language"]), tokenizer, str(out)]
    seconds, peak, printed = cpu_seconds(command)
    return {"cpu_seconds": seconds, "peak_mb": peak, **json.loads(printed.splitlines()[-1])}


def main() -> None:
    """Makes the input, runs the systems in turn, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokenizer", required=True, help="a SentencePiece model")
    parser.add_argument("--tokenizer_json", required=True, help="the same pieces as a tokenizer.json of Hugging Face")
    parser.add_argument("--datatrove", metavar="PYTHON", help="the interpreter of an environment with datatrove[all]")
    parser.add_argument("--dolma", metavar="PYTHON", help="the interpreter of an environment with dolma")
    parser.add_argument("--megabytes", type=int, default=60, help="MB of text in the WET files (default: 60)")
    parser.add_argument("--scratch", type=Path, help="keep made input and outputs here")
    args = parser.parse_args()
    data = Path(os.environ.get("CORPUS_DATA") or sys.exit("CORPUS_DATA must name the folder of real input"))
    with tempfile.TemporaryDirectory() as temporary:
        scratch = args.scratch or Path(temporary)
        wets = scratch / f"wet-{args.megabytes}"
        make_input("common_crawl", data, wets, args.megabytes * 10**6)
        found = {"this project": ours(wets, args.tokenizer, scratch / "ours")}
        for name, python in (("datatrove", args.datatrove), ("dolma", args.dolma)):
            if python is None:
                print(f"{name}: left out, no interpreter was given")
                continue
            try:
                found[name] = peer(name, python, wets, args.tokenizer_json, scratch / name)
            except SystemExit as error:
                print(f"{name}: left out, {error}")
        base = found["this project"]["cpu_seconds"]
        for name, row in found.items():
            print(f"{name:13} {row['cpu_seconds']:8.1f} CPU s {args.megabytes / row['cpu_seconds']:7.2f} MB/s "
                  f"{row['cpu_seconds'] / base:6.1f} times  {row['peak_mb']:6.0f} MB  {row['kept']:7,} documents  "
                  f"{row['tokens']:11,} tokens")  # fmt: skip


if __name__ == "__main__":
    main()
