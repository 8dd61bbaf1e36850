"""Makes a file of web pages with near copies, for the speed of near dedups.

    python benchmarks/near_dedup_pages.py OUT.json.gz WET.gz... [--megabytes N] [--copies SHARE]

The pages are those of :mod:`benchmarks.web_pages`: the real pages of WET files, then generated pages with the same
statistics. ``--copies`` is the share of pages that are near copies of earlier pages: one word in 200 is replaced. Each
line has the fields of C4: ``url``, ``timestamp`` and ``text``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections.abc import Iterator

from web_pages import generated, real_pages


def pages(paths: list[str], copies: float) -> Iterator[str]:
    """Yields pages without end. The share ``copies`` of them are near copies of earlier pages."""
    draw, earlier = random.Random(7), list[str]()
    real = real_pages(paths, only_english=False)
    for page in generated(real):
        yield page
        if len(earlier) < 1000:
            earlier.append(page)
        else:
            earlier[draw.randrange(1000)] = page
        while draw.random() < copies:
            words = draw.choice(earlier).split(" ")
            yield " ".join(f"other{draw.random()}" if draw.random() < 1 / 200 else word for word in words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("wets", nargs="+")
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--copies", type=float, default=0.2)
    args = parser.parse_args()
    num_bytes = 0
    with gzip.open(args.out, "wt", encoding="utf-8", compresslevel=6) as file:
        for number, text in enumerate(pages(args.wets, args.copies)):
            row = {"url": f"https://site{number % 5000}.example/{number}", "timestamp": "2020-01-01T00:00:00Z"}
            file.write(json.dumps({**row, "text": text}, ensure_ascii=False) + "\n")
            num_bytes += len(text.encode())
            if num_bytes >= args.megabytes * 1e6:
                print(f"{number + 1:,} pages, {num_bytes / 1e6:.1f} MB")
                break


if __name__ == "__main__":
    main()
