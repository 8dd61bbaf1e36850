"""Judges a dedup across sources by comparing all pairs of documents. Imports nothing of the pipeline.

A dedup across sources removes a document of one source (the later source) if another source (the earlier source) kept
most of the document's text. The overlap of a document is the largest share of its word 5-grams that one kept document
of the earlier source contains. Documents with fewer than ten 5-grams are compared only by their whole text.

The judge groups the documents of the later source by overlap. For each group it prints the number of documents, and the
share that was removed. It also prints the number of wrong removals. A removal is wrong if no kept document has the same
text, and the overlap is not above the limit.

The judge identifies documents by their texts. So no step of the two sources may change texts. The only documents that
other steps may drop are those with equal ids.

Run: ``python benchmarks/judges/across_sources.py OUT/clean/EARLIER LATER.jsonl OUT/clean/LATER [--limit 0.8]``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
from near_dedup import MIN_NGRAMS, grams


def texts_in(folder: Path) -> list[str]:
    paths = sorted(folder.glob("*.parquet"))
    return [text for path in paths for text in pq.read_table(path, columns=["text"]).column("text").to_pylist()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("later", type=Path)
    parser.add_argument("kept", type=Path)
    parser.add_argument("--limit", type=float, default=0.8)
    args = parser.parse_args()
    earlier, kept = texts_in(args.earlier), set(texts_in(args.kept))
    whole, having = set(earlier), defaultdict(list)
    for number, text in enumerate(earlier):
        found = grams(text)
        for gram in found if len(found) >= MIN_NGRAMS else ():
            having[gram].append(number)
    documents: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    num_wrong = 0
    with args.later.open(encoding="utf-8") as file:
        for text in (json.loads(line)["text"] for line in file):
            own = grams(text)
            shared: Counter[int] = Counter()
            for gram in own if len(own) >= MIN_NGRAMS else ():
                shared.update(having.get(gram, ()))
            share = max(shared.values(), default=0) / max(len(own), 1)
            is_equal = bool(text) and text in whole
            name = "equal text" if is_equal else f"{int(share * 20) / 20:.2f}"
            documents[name] += 1
            removed[name] += text not in kept
            num_wrong += text not in kept and not is_equal and share <= args.limit
    print(f"{sum(documents.values()):,} documents, {sum(removed.values()):,} removed, {num_wrong:,} of them wrongly")
    for name in sorted(documents):
        print(f"{name:>10}  {documents[name]:>8,}  {removed[name] / documents[name]:.4f} removed")
    return int(num_wrong > 0 or not sum(removed.values()))


if __name__ == "__main__":
    sys.exit(main())
