"""Compares the two forms of the language step, NumPy and compiled loops, on the same pages in one process.

    PYTHONPATH=. python benchmarks/language.py PAGES... [--models DIR]

PAGES are files or folders with WET, WARC or JSON lines. The script runs both forms alternately, five times, and prints
the best speed of each in MB of text per CPU second. It also prints the CPU seconds of the first call of the compiled
form, which imports the compiler, and makes or loads machine code. The script fails if a language or a rounded score
differs on any page.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rule_sets import batches_of, pages_of
from filters.language.detect import Language, LanguageModel
from pipeline.models.find import find_models
from pipeline.models.load import load

ROUNDS = 5


def answers(batches: list[pa.RecordBatch], model: LanguageModel) -> tuple[list[pa.Table], float]:
    """Returns the columns that the step adds for all pages, and its CPU seconds."""
    step, begun = Language(languages=()), time.process_time()
    found = [pa.table(dict(step.apply(batch, {"language": model}).columns)) for batch in batches]
    return found, time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", help="folder of models")
    parser.add_argument("paths", nargs="+", type=Path)
    args = parser.parse_args()
    texts = list(dict.fromkeys(text for text in pages_of(args.paths) if text))
    if not texts:
        parser.error("no pages in these files")
    num_bytes = sum(len(text.encode()) for text in texts)
    batches = batches_of(texts)
    model: LanguageModel = load("language", find_models(args.models)["language"])
    _, first = answers(batches_of(texts[:1]), model.compiled)
    best = {"numpy": float("inf"), "compiled": float("inf")}
    for _ in range(ROUNDS):
        found = []
        for name, form in (("numpy", model), ("compiled", model.compiled)):
            columns, seconds = answers(batches, form)
            best[name] = min(best[name], seconds)
            found.append(columns)
        if found[0] != found[1]:
            sys.exit("the two forms differ")
    print(f"{len(texts)} pages, {num_bytes / 1e6:.1f} MB, equal answers; first call {first:.1f} s")
    print(", ".join(f"{name} {num_bytes / seconds / 1e6:.1f} MB/s" for name, seconds in best.items())
          + f", {best['numpy'] / best['compiled']:.2f} times")  # fmt: skip


if __name__ == "__main__":
    main()
