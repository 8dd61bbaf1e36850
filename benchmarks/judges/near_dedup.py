"""Judges a near dedup against a comparison of all pairs of documents. Imports nothing of the project.

The judge computes the exact containment (shared 5-grams / 5-grams of the document) for every pair of documents that
share a word 5-gram. It prints for each system:

- removed: the number of documents that the system removed;
- precision: the share of its removals that are right. A removal is right if one kept document contains more of the
  removed document than the limit allows;
- recall by overlap: the overlap of a document is the largest share of the document that one kept document contains. The
  documents are grouped by overlap, and for each group the share of removed documents is printed. If the system kept a
  document, only longer documents are considered, because a near dedup keeps the longer of two documents;
- evidence (``--evidence``): the number of wrong rows in the pipeline's folder ``dedup/``, which records for each
  removed document the kept document and the overlap. A row is wrong if the judge computes a different overlap.

Documents with fewer than ten 5-grams are left out.

Run: ``python benchmarks/judges/near_dedup.py DOCUMENTS.json.gz [--limit 0.8] [--evidence DEDUP] NAME=REMOVED...``

NAME is the name of a system. REMOVED is a text file with one line per removed document: its url, or ``URL@TIMESTAMP``.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy import sparse

NGRAM, MIN_NGRAMS = 5, 10
BINS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
SPECIAL = {"ß": "ss", "æ": "a", "œ": "o", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ŋ": "n"}
BLOCK = 500


def is_unspaced(char: str) -> bool:
    """Returns True for a character of a script that puts no spaces between words."""
    code = ord(char)
    ranges = (
        (0xE00, 0xEFF),
        (0x1000, 0x109F),
        (0x1780, 0x17FF),
        (0x3040, 0x30FF),
        (0x3400, 0x9FFF),
        (0x20000, 0x3FFFF),
    )
    return any(low <= code <= high for low, high in ranges)


def words_of(text: str) -> list[str]:
    """Returns the words of a text. Words consist of letters and digits, without case and accents. ``ae``, ``oe`` and
    ``ue`` become ``a``, ``o`` and ``u``.
    """
    out = []
    for char in unicodedata.normalize("NFKD", text.lower()).lower():
        if unicodedata.category(char).startswith("M"):
            continue
        if is_unspaced(char):
            out.append(f" {char} " if char.isalnum() else " ")
        else:
            out.append(SPECIAL.get(char, char) if char.isalnum() else " ")
    return "".join(out).replace("ae", "a").replace("oe", "o").replace("ue", "u").split()


def grams(text: str) -> set[bytes]:
    words = words_of(text)
    return {
        hashlib.blake2b(" ".join(words[at : at + NGRAM]).encode(), digest_size=8).digest()
        for at in range(len(words) - NGRAM + 1)
    }


class Containments:
    """Computes, for pairs of documents, how much of one document is contained in the other.

    The share for documents i and j says how much of document i is contained in document j.
    """

    def __init__(self, texts: list[str]) -> None:
        sets = [grams(text) for text in texts]
        sets = [one if len(one) >= MIN_NGRAMS else set() for one in sets]
        self.sizes = np.array([len(one) for one in sets])
        joined = np.frombuffer(b"".join(b"".join(sorted(one)) for one in sets), "<u8")
        _, columns = np.unique(joined, return_inverse=True)
        rows = np.repeat(np.arange(len(sets)), self.sizes)
        ones = np.ones(len(columns), np.int32)
        self._found = sparse.csr_matrix((ones, (rows, columns)), shape=(len(sets), int(columns.max()) + 1))

    def pairs(self, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns (document, containing document, share) for each pair whose share is at least ``least``."""
        found, across = [], self._found.T.tocsc()
        for start in range(0, len(self.sizes), BLOCK):
            block = (self._found[start : start + BLOCK] @ across).tocoo()
            inner = block.row + start
            share = block.data / self.sizes[inner]
            keep = (share >= least) & (inner != block.col)
            found.append((inner[keep], block.col[keep], share[keep]))
        return tuple(np.concatenate(column) for column in zip(*found, strict=True))  # type: ignore[return-value]


def best_in(pairs: tuple[np.ndarray, np.ndarray, np.ndarray], allowed: np.ndarray, size: int) -> np.ndarray:
    """Returns, for each document, the largest share of it that one other document contains. Only the pairs in
    ``allowed`` count. Without such a pair, the share is 0.
    """
    best = np.zeros(size)
    np.maximum.at(best, pairs[0][allowed], pairs[2][allowed])
    return best


def report(name: str, is_removed: np.ndarray, pairs: tuple[np.ndarray, np.ndarray, np.ndarray], sizes: np.ndarray,
           limit: float) -> float:  # fmt: skip
    """Prints the table row of one system. Returns the system's precision (the share of its removals that are right)."""
    inner, outer, _ = pairs
    in_kept = best_in(pairs, ~is_removed[outer], len(sizes))
    is_shorter = (sizes[inner] < sizes[outer]) | ((sizes[inner] == sizes[outer]) & (inner > outer))
    left = best_in(pairs, ~is_removed[outer] & is_shorter, len(sizes))
    right = is_removed & (in_kept > limit)
    precision = right.sum() / max(1, is_removed.sum())
    curve = []
    for low, high in zip(BINS, (*BINS[1:], np.inf), strict=True):
        hit = int((is_removed & (in_kept >= low) & (in_kept < high)).sum())
        missed = int((~is_removed & (left >= low) & (left < high)).sum())
        curve.append(f"{hit / (hit + missed):.3f}" if hit + missed else "-")
    high = is_removed & (in_kept >= 0.9)
    recall = high.sum() / max(1, high.sum() + (~is_removed & (left >= 0.9)).sum())
    print(f"| {name} | {is_removed.sum():,} | {precision:.4f} | {recall:.4f} | {' | '.join(curve)} |")
    return float(precision)


def check_evidence(folder: Path, ids: dict[str, int], pairs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> int:
    """Compares the overlaps that the pipeline wrote to ``dedup/`` with the judge's containments. Returns the number of
    rows that differ, or 1 if there are no rows.
    """
    known = {(i, o): s for i, o, s in zip(*(column.tolist() for column in pairs), strict=True)}
    wrong = num_rows = 0
    for path in sorted(folder.glob("pairs-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            num_rows += 1
            share = known.get((ids[row["removed_id"]], ids[row["kept_id"]]), 0.0)
            if abs(share - row["overlap"]) > 1e-9:
                wrong += 1
                print(f"  {row['removed_id']} in {row['kept_id']}: stated {row['overlap']:.4f}, is {share:.4f}")
    print(f"evidence: {num_rows} rows, {wrong} differ")
    return wrong if num_rows else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents")
    parser.add_argument("removed", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--limit", type=float, default=0.8)
    parser.add_argument("--evidence", type=Path)
    args = parser.parse_args()
    with gzip.open(args.documents, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    ids = {name: n for n, row in enumerate(rows) for name in (row["url"], f"{row['url']}@{row['timestamp']}")}
    found = Containments([row["text"] for row in rows])
    pairs = found.pairs(BINS[0])
    print(f"{len(rows):,} documents, {len(pairs[0]):,} of all pairs overlap by {BINS[0]} or more")
    print(f"| system | removed | precision | recall >= 0.9 | {' | '.join(map(str, BINS))} |")
    print("|---|--:|--:|--:|" + "--:|" * len(BINS))
    for given in args.removed:
        name, _, path = given.partition("=")
        is_removed = np.zeros(len(rows), np.bool_)
        is_removed[[ids[url] for url in Path(path).read_text("utf-8").split("\n") if url]] = True
        report(name, is_removed, pairs, found.sizes, args.limit)
    return 1 if args.evidence and check_evidence(args.evidence, ids, pairs) else 0


if __name__ == "__main__":
    sys.exit(main())
