"""Times the search for strings in finished shards, and compares it with a scan that decodes all shards.

Run: ``PYTHONPATH=. python benchmarks/find.py DIR [--strings N]``

DIR is a run's output with an index (``python -m mixtures.find --make-index DIR``). The strings have several lengths.
They are cut from random documents at random places. A search ends after 20 hits, like the command ``mixtures.find``. If
a search has fewer hits, one of them must be the row from which its string was cut; else the script fails. The times are
CPU seconds of one core, with the tokenizer loaded and the files in the page cache. The last lines compare the hits of a
few strings with those of a scan.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from itertools import islice

from mixtures.find.index import index_path
from mixtures.find.limits import GRAIN_BYTES
from mixtures.find.search import Finder

MOST_HITS = 20
LENGTHS = (20, 24, 32, 64, 200)
NUM_SCANS = 2


def strings(finder: Finder, size: int, count: int, choose: random.Random) -> list[tuple[str, str, int]]:
    """Returns random strings of ``size`` bytes, each with the shard and the row from which it was cut."""
    found = []
    while len(found) < count:
        info = choose.choices(finder.infos, [one.rows for one in finder.infos])[0]
        row = choose.randrange(info.rows)
        with finder._open(info) as shard:
            ((_, text),) = shard.texts([row], finder.encoder())
        data = text.encode()
        begin = choose.randrange(max(1, len(data) - size + 1))
        wanted = data[begin : begin + size].decode("utf-8", "ignore")
        if len(wanted.encode()) >= GRAIN_BYTES and "\ufffd" not in wanted:
            found.append((wanted, info.path, row))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--strings", type=int, default=200)
    args = parser.parse_args()
    finder, choose = Finder(args.folder), random.Random(1)
    finder.encoder()
    shards = sum(info.bytes for info in finder.infos)
    index = sum(index_path(finder.folder, info).stat().st_size for info in finder.infos)
    indexes = [finder._index(info) for info in finder.infos]
    tokens = sum(info.tokens for info in finder.infos)
    print(f"{shards:,} bytes of shards, {tokens:,} tokens; the index has {index / shards:.3f} of the bytes")
    for size in LENGTHS:
        rows = []
        for wanted, path, row in strings(finder, size, args.strings, choose):
            blocks = sum(len(one.candidates(wanted.encode())) for one in indexes)
            begun = time.process_time()
            hits = list(islice(finder.text(wanted), MOST_HITS))
            rows.append((time.process_time() - begun, blocks, len(hits)))
            assert len(hits) == MOST_HITS or (path, row) in {(hit.shard, hit.row) for hit in hits}, wanted
        rows.sort()
        for name, share in (("median", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("longest", 1)):
            seconds, blocks, hits = rows[min(len(rows) - 1, int(share * len(rows)))]
            print(f"{size:4} bytes {name:8} {1000 * seconds:7.1f} ms  {blocks:6,} blocks  {hits:3} hits", flush=True)
    for wanted, *_ in strings(finder, 32, NUM_SCANS, choose):
        begun = time.process_time()
        scanned = [(hit.shard, hit.row) for hit in finder.scan(wanted)]
        seconds = time.process_time() - begun
        assert scanned == [(hit.shard, hit.row) for hit in finder.text(wanted)]
        print(f"scan: {seconds:.1f} s, {len(scanned):,} hits, all the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
