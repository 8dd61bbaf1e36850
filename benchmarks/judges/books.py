"""Judges the cleaned books, using only the raw files; imports nothing of the pipeline.

    python benchmarks/judges/books.py RAW_DIR [--clean CLEAN_DIR]

RAW_DIR contains folders named after a Gutenberg number, each with the editions of one book. Two methods compare books:

* the exact overlap of word 5-grams: shared 5-grams / 5-grams of the smaller book;
* SimHash as in RedPajama v1 (data_prep/book/dedup.py). The hash has 64 bits, and is made from the character 6-grams of
  the lower-cased text with only word characters. Two books are paired if their hashes differ in at most 5 bits.

Three tables are printed. The first has the results of both methods on all pairs of real books: editions of one book,
and different books. The second has their results on artificial pairs with a known overlap, such as a book and an
omnibus that contains it. The third needs ``--clean`` (the pipeline's Parquet files). It has two figures per kept book:
the number of lines that name Gutenberg, and the share of the raw words that the kept book contains. Raw words are those
between the raw file's start mark and its end mark.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections import Counter
from hashlib import md5
from pathlib import Path

import numpy as np

_LEFT = re.compile(
    r"gutenberg|\be-?text\b|\be-?book\b|pgdp\.net|distributed proofread|small print!|pglaf", re.IGNORECASE
)


def decoded(path: Path) -> str:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\r\n", "\n")


def cut(text: str) -> str:
    """Finds Gutenberg's header and footer by a few simple rules, and returns the text between them."""
    lines = text.split("\n")
    begin, end = 0, len(lines)
    for number, line in enumerate(lines[:700]):
        if "START OF TH" in line.upper() and "PROJECT GUTENBERG" in line.upper():
            begin = number + (1 if line.rstrip().endswith("***") else 2)
        elif line.startswith("*END") and "SMALL PRINT" in line.upper() and number < len(lines) // 2:
            begin = number + 1
    for number in range(len(lines) - 1, begin, -1):
        low = lines[number].lower()
        if "project gutenberg" in low and (low.startswith("end of") or re.match(r"\*\*\* ?end of", low)):
            end = number
    return "\n".join(lines[begin:end])


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", re.sub(r"[’'_]", "", text.lower()))


def grams(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return set(zip(*(found[at:] for at in range(5)), strict=False))


def overlap(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / max(1, min(len(a), len(b)))


def simhash(text: str) -> int:
    """Returns the SimHash of a text, computed as in the package ``simhash``. The features are character 6-grams,
    weighted by their frequency. The hash of a 6-gram is the last 64 bits of its MD5.
    """
    plain = re.sub(r"[^\w]+", "", text.lower())
    features = Counter(plain[at : at + 6] for at in range(max(1, len(plain) - 5)))
    digests = np.frombuffer(b"".join(md5(name.encode()).digest()[-8:] for name in features), np.uint8).reshape(-1, 8)
    bits = np.unpackbits(digests, axis=1).astype(np.int64)
    counts = np.fromiter(features.values(), np.int64)
    total = counts @ bits * 2 - counts.sum()
    return int.from_bytes(np.packbits(total > 0).tobytes(), "big")


def distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def editions(root: Path) -> dict[str, str]:
    """Reads all texts under a folder. Returns a dict from each file's path to its text.

    A text is left out if it has fewer than 1,000 words, or no "Gutenberg" in its first 5,000 characters.
    """
    texts = {str(path.relative_to(root)): decoded(path) for path in sorted(root.rglob("*.txt"))}
    return {name: text for name, text in texts.items() if "Gutenberg" in text[:5_000] and len(words(text)) >= 1_000}


def judge_pairs(texts: dict[str, str]) -> None:
    sets = {name: grams(cut(text)) for name, text in texts.items()}
    hashes = {name: simhash(cut(text)) for name, text in texts.items()}
    raw_hashes = {name: simhash(text) for name, text in texts.items()}
    rows = []
    for a, b in itertools.combinations(texts, 2):
        same = a.split("/")[0] == b.split("/")[0]
        rows.append(
            (
                same,
                a,
                b,
                overlap(sets[a], sets[b]),
                distance(hashes[a], hashes[b]),
                distance(raw_hashes[a], raw_hashes[b]),
            )
        )
    print(f"{'pair of editions':58} {'overlap':>8} {'SimHash bits apart':>20} {'header and all':>15}")
    for same, a, b, share, bits, raw_bits in rows:
        if same:
            print(f"{a + '  ' + b:58} {share:8.4f} {bits:20} {raw_bits:15}")
    for name, at in (("SimHash k=5", 4), ("SimHash k=5, header and all", 5)):
        found = [(row[0], row[3]) for row in rows if row[at] <= 5]
        true = sum(row[0] for row in rows)
        num_right = sum(same for same, _ in found)
        print(f"{name}: {num_right} of {true} pairs of editions, {len(found) - num_right} others")
    print(f"greatest overlap of two different books: {max(row[3] for row in rows if not row[0]):.4f}")
    print(f"least overlap of two editions: {min(row[3] for row in rows if row[0]):.4f}")


def judge_made(texts: dict[str, str]) -> None:
    names = sorted(texts, key=lambda name: len(texts[name]))
    book = words(cut(texts[names[0]]))
    other = [word for name in names[-3:] for word in words(cut(texts[name]))]
    print(f"\n{'made pair':40} {'overlap':>8} {'over 0.9':>9} {'bits apart':>11} {'SimHash k=5':>12}")
    cases = {}
    for share in (0.80, 0.88, 0.92, 0.97):
        cases[f"{share:.2f}, the last of it another book"] = (
            book[: round(share * len(book))] + other[: round((1 - share) * len(book))]
        )
        every = round(5 / (1 - share))  # a changed word changes five 5-grams
        cases[f"{share:.2f}, a word in {every} changed"] = [
            "changed" + word if at % every == every // 2 else word for at, word in enumerate(book)
        ]
    size = len(book)
    cases["in an omnibus ten times longer"] = [*other[: 5 * size], *book, *other[5 * size : 9 * size]]
    for name, made in cases.items():
        share = overlap(grams(" ".join(book)), grams(" ".join(made)))
        bits = distance(simhash(" ".join(book)), simhash(" ".join(made)))
        print(f"{name:40} {share:8.4f} {share > 0.9!s:>9} {bits:11} {bits <= 5!s:>12}")


def judge_clean(texts: dict[str, str], clean: Path) -> None:
    import pyarrow.parquet as pq

    rows = [row for path in sorted(clean.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    sets = {name: grams(cut(text)) for name, text in texts.items()}
    print(f"\n{'kept book':28} {'closest raw file':24} {'words kept':>11} {'lines that name the project':>28}")
    if not rows:
        raise SystemExit(f"no rows under {clean}")
    for row in rows:
        mine = grams(row["text"])
        closest = max(sets, key=lambda name: len(sets[name] & mine) / max(1, len(sets[name] | mine)))
        wanted, have = Counter(words(cut(texts[closest]))), Counter(words(row["text"]))
        kept = sum((wanted & have).values()) / max(1, wanted.total())
        left = [line for line in row["text"].split("\n") if _LEFT.search(line)]
        print(f"{row['id']:28} {closest:24} {kept:11.4f} {len(left):28}  {left[:1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--clean", type=Path)
    options = parser.parse_args()
    texts = editions(options.raw)
    if len(texts) < 2:
        raise SystemExit(f"no two Gutenberg texts under {options.raw}")
    judge_pairs(texts)
    judge_made(texts)
    if options.clean:
        judge_clean(texts, options.clean)


if __name__ == "__main__":
    main()
