"""Compares the two forms of the perplexity step, packages and compiled loops, on the same pages in one process.

    PYTHONPATH=. python benchmarks/perplexity.py PAGES... --models DIR [--language en]

PAGES are files or folders with WET, WARC or JSON lines. DIR has the SentencePiece model and the binary KenLM model of
the language. The KenLM model should be as large as those in use, because its speed depends on how much of it fits into
the processor's cache. The script runs both forms, and the two packages alone, five times in turn. It prints the best
speed of each in MB of text per CPU second. It fails if a perplexity differs on any page.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rule_sets import pages_of
from filters.ccnet.compiled_perplexity import CompiledPerplexityModel
from filters.ccnet.perplexity import normalize
from pipeline.models.compiled_scorer import compiled_scorer
from pipeline.models.load import load_scorer

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", required=True, help="folder of models")
    parser.add_argument("--language", default="en")
    parser.add_argument("paths", nargs="+", type=Path)
    args = parser.parse_args()
    texts = list(dict.fromkeys(text for text in pages_of(args.paths) if text))
    if not texts:
        parser.error("no pages in these files")
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    model = load_scorer(args.models, args.language)
    begun = time.process_time()
    compiled = compiled_scorer(model)
    if not isinstance(compiled, CompiledPerplexityModel):
        sys.exit(f"{args.models}: this model has no compiled form (a trie or a text file?)")
    compiled.perplexity(texts[0])
    first = time.process_time() - begun
    plain = [normalize(text).encode() for text in texts]
    joined = [b" ".join(model.pieces.encode(text, out_type=bytes)) for text in plain]
    num_pieces = sum(text.count(b" ") + 1 for text in joined)
    sides: dict[str, Callable[[], list[Any]]] = {
        "packages": lambda: [model.perplexity(text) for text in texts],
        "compiled": lambda: [compiled.perplexity(text) for text in texts],
        "SentencePiece alone": lambda: [model.pieces.encode(text, out_type=bytes) for text in plain],
        "KenLM alone": lambda: [model.lm.score(text) for text in joined],
    }
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(ROUNDS):
        found = {}
        for name, score in sides.items():
            begun = time.process_time()
            found[name] = score()
            best[name] = min(best[name], time.process_time() - begun)
        if found["packages"] != found["compiled"]:
            sys.exit("the two forms differ")
    print(f"{len(texts)} pages, {megabytes:.1f} MB, {num_pieces / megabytes / 1e3:.0f} thousand pieces per MB, equal; "
          f"first call {first:.1f} s, tables of {compiled.tables.units.nbytes / 1e6:.1f} MB")  # fmt: skip
    print(", ".join(f"{name} {megabytes / seconds:.1f} MB/s" for name, seconds in best.items())
          + f"; {best['packages'] / best['compiled']:.2f} times")  # fmt: skip


if __name__ == "__main__":
    main()
