"""Compares our book dedup with its peers: CPU seconds and MB/s of one core, and the editions that each method pairs.

    python benchmarks/overlap.py BOOKS_DIR [--repeat N] [--show]

BOOKS_DIR contains folders named after a Gutenberg number, each with the editions of one book. All methods get the same
texts (without headers) and an omnibus made of four of them, in one process. The time is the best of ``--repeat`` runs
(datatrove and SimHash: one run). A peer that is not installed is reported as left out:

- ``datasketch``: MinHash of 128 hashes of word 5-grams, LSH at Jaccard 0.8. There is one row for its default hash
  function sha1, and one for xxhash;
- ``datatrove``: MinHash of word 5-grams with datatrove's defaults, 14 x 8 hashes. Only datatrove's signature step and
  bucket step run. Books that share a bucket, directly or through other books, count as pairs. Needs ``spacy regex
  tokenizers xxhash<3.7``;
- ``simhash``: RedPajama v1's method for "more than 90% content overlap" (data_prep/book/dedup.py). A text is
  lower-cased, and ``[^\\w]+`` is removed. Its hash has 64 bits and is made from character 6-grams. Two books are a pair
  if their hashes differ in at most 5 bits.

``--show`` prints the clusters that our rule makes. It also prints each pair on which SimHash and our rule differ, with
its overlap and its distance (the number of different bits).
"""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from filters.books.boilerplate import strip
from filters.books.overlap import overlap, shingles, sketch
from filters.books.overlap_groups import is_candidate, pairs_of_bucket, ranks, resolve

Pairs = set[frozenset[str]]
SIMHASH_MAX_DISTANCE = 5
OMNIBUS = "omnibus"  # the four shortest books in one text


def editions(root: Path) -> dict[str, str]:
    found = {}
    for path in sorted(root.rglob("*.txt")):
        raw = path.read_bytes()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", "replace")
        if "Gutenberg" in text[:5_000]:
            found[str(path.relative_to(root))] = strip(text.replace("\r\n", "\n")).text
    shortest = sorted({number_of(name): name for name in found}.values(), key=lambda name: len(found[name]))[:4]
    found[f"{OMNIBUS}/{'+'.join(map(number_of, shortest))}"] = "\n\n".join(found[name] for name in shortest)
    return found


def number_of(name: str) -> str:
    return name.split("/", maxsplit=1)[0]


def is_true(a: str, b: str) -> bool:
    """Returns True if the two texts should be paired: two editions of one book, or a book and an omnibus that contains
    it.
    """
    if OMNIBUS in (number_of(a), number_of(b)):
        omnibus, book = (a, b) if number_of(a) == OMNIBUS else (b, a)
        return number_of(book) in omnibus.split("/", maxsplit=1)[1].split("+")
    return number_of(a) == number_of(b)


def ours_signatures(books: dict[str, str]) -> Pairs:
    """Computes only the shingles (sets of word 5-grams) and sketches (samples of them) of all books, to measure the
    work per book. Returns no pairs.
    """
    for text in books.values():
        sketch(shingles(text))
    return set()


def ours(books: dict[str, str]) -> Pairs:
    """Returns the pairs of books whose exact overlap is over 0.9. Candidates are found by sketches (samples of
    shingles).

    The shingles of candidates are computed a second time. (The pipeline instead reads them from its spill files.)
    """
    names = list(books)
    sets = [shingles(text) for text in books.values()]
    sketches = [sketch(one) for one in sets]
    sizes = [len(one) for one in sketches]
    found = pairs_of_bucket(
        np.concatenate(sketches),
        np.repeat(np.arange(len(names), dtype=np.uint64), sizes),
        np.repeat(ranks([len(one) for one in sets], names), sizes),
    )
    del sets
    pairs = [
        (names[a], names[b])
        for (a, b), shared in zip(found.pairs.tolist(), found.counts.tolist(), strict=True)
        if is_candidate(shared, sizes[a], sizes[b])
    ]
    made = {name: shingles(books[name]) for name in {name for pair in pairs for name in pair}}
    return {frozenset((a, b)) for a, b in pairs if overlap(made[a], made[b]) > 0.9}


def datasketch_pairs(books: dict[str, str], hashfunc: Callable[[bytes], int] | None) -> Pairs:
    import datasketch

    index, hashes = datasketch.MinHashLSH(threshold=0.8, num_perm=128), {}
    for name, text in books.items():
        words = re.findall(r"\w+", text.lower())
        one = datasketch.MinHash(num_perm=128, **({"hashfunc": hashfunc} if hashfunc else {}))
        one.update_batch({" ".join(words[at : at + 5]).encode() for at in range(max(1, len(words) - 4))})
        hashes[name] = one
        index.insert(name, one)
    return {
        frozenset((name, other))
        for name, one in hashes.items()
        for other in index.query(one)
        if other != name and one.jaccard(hashes[other]) >= 0.8
    }


def closure(links: Iterable[tuple[str, str]]) -> Pairs:
    """Returns all pairs of books that are connected by links, directly or through other books."""
    group_of: dict[str, set[str]] = {}
    for a, b in links:
        joined = group_of.get(a, {a}) | group_of.get(b, {b})
        group_of.update(dict.fromkeys(joined, joined))
    return {frozenset(pair) for group in group_of.values() for pair in itertools.combinations(sorted(group), 2)}


def datatrove_pairs(books: dict[str, str]) -> Pairs:
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from loguru import logger

    logger.remove()
    config, root, names = MinhashConfig(), Path(tempfile.mkdtemp()), list(books)
    try:
        step = MinhashDedupSignature(str(root / "signatures"), config=config)
        for _ in step.run((Document(text=text, id=name) for name, text in books.items()), 0, 1) or ():
            pass
        for bucket in range(config.num_buckets):
            buckets = MinhashDedupBuckets(str(root / "signatures"), str(root / "buckets"), config=config)
            buckets.run(None, bucket, config.num_buckets)
        rows: Iterable[tuple[int, ...]] = itertools.chain.from_iterable(
            struct.iter_unpack("<4I", path.read_bytes()) for path in (root / "buckets").rglob("*.dups")
        )
        return closure((names[a], names[b]) for _, a, _, b in rows)
    finally:
        shutil.rmtree(root)


def simhash_distances(books: dict[str, str]) -> dict[frozenset[str], int]:
    """Returns the Hamming distance of every pair of books."""
    from simhash import Simhash

    signatures = {}
    for name, text in books.items():
        letters = re.sub(r"[^\w]+", "", text.lower())
        signatures[name] = Simhash([letters[at : at + 6] for at in range(max(len(letters) - 5, 1))])
    return {frozenset((a, b)): signatures[a].distance(signatures[b]) for a, b in itertools.combinations(signatures, 2)}


def simhash_pairs(books: dict[str, str]) -> Pairs:
    return {pair for pair, distance in simhash_distances(books).items() if distance <= SIMHASH_MAX_DISTANCE}


def show(books: dict[str, str]) -> None:
    """Prints the clusters that our rule makes, and the pairs on which SimHash and the exact overlap differ."""
    sets = {name: shingles(text) for name, text in books.items()}
    pairs = [(a, b, overlap(sets[a], sets[b])) for a, b in itertools.combinations(books, 2)]
    sizes = {name: len(found) for name, found in sets.items()}
    print("\nkept                    goes                    shingles  of it in the kept one")
    for gone, (kept, share) in sorted(resolve(sizes, pairs).items(), key=lambda item: (item[1][0], item[0])):
        print(f"{kept:23} {gone:23} {sizes[gone]:9,}  {share:.4f}")
    try:
        distances = simhash_distances(books)
    except ImportError as error:
        print(f"simhash not installed: {error}")
        return
    print("\noverlap  distance  pair on which the two differ")
    for a, b, share in sorted(pairs, key=lambda pair: -pair[2]):
        distance = distances[frozenset((a, b))]
        if (share > 0.9) != (distance <= SIMHASH_MAX_DISTANCE):
            print(f"{share:7.4f}  {distance:8}  {a}, {b}")
    nearest = min((distances[frozenset((a, b))], share, a, b) for a, b, share in pairs if share < 0.5)
    print(
        f"\nnearest by SimHash of two different books: distance {nearest[0]}, overlap {nearest[1]:.4f}: {nearest[2:]}"
    )


def report(name: str, run: Callable[[dict[str, str]], Pairs], books: dict[str, str], repeat: int) -> None:
    true = {frozenset(pair) for pair in itertools.combinations(books, 2) if is_true(*pair)}
    best, pairs = float("inf"), set()
    for _ in range(repeat):
        start = time.process_time()
        try:
            pairs = run(books)
        except ImportError as error:
            print(f"{name:46} not installed: {error}")
            return
        best = min(best, time.process_time() - start)
    megabytes = sum(len(text.encode()) for text in books.values()) / 1e6
    found = "" if run is ours_signatures else f"{len(pairs & true)} of {len(true)} pairs, {len(pairs - true)} others"
    print(f"{name:46} {best:8.2f} s {megabytes / best:8.2f} MB/s   {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    books = editions(options.books)
    if not books:
        raise SystemExit(f"no Gutenberg text under {options.books}")
    print(f"{len(books)} books, {sum(len(text.encode()) for text in books.values()) / 1e6:.1f} MB")
    report("ours: shingles and sketch", ours_signatures, books, options.repeat)
    report("ours: pairs, verified exactly", ours, books, options.repeat)
    report("datasketch MinHash 128, sha1", lambda books: datasketch_pairs(books, None), books, options.repeat)
    try:
        import xxhash

        by_xxhash: Callable[[dict[str, str]], Pairs] = lambda books: datasketch_pairs(books, xxhash.xxh32_intdigest)  # noqa: E731
        report("datasketch MinHash 128, xxh32", by_xxhash, books, options.repeat)
    except ImportError as error:
        print(f"xxhash not installed: {error}")
    report("datatrove MinHash 14 x 8", datatrove_pairs, books, 1)
    report("SimHash, distance up to 5", simhash_pairs, books, 1)
    if options.show:
        show(books)


if __name__ == "__main__":
    main()
