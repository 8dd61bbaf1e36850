"""Compares two ways of packing documents into sequences: concatenate, which cuts documents, and best_fit, which pads.

Run: ``PYTHONPATH=. python benchmarks/packing.py DIR... [--seq-lens N...] [--rounds N]``

DIR is a run's output. All documents of its training shards are packed, for each sequence length. The figures are:

- cut: the share of documents that are cut, among the documents that would fit (at most seq_len + 1 tokens). A document
  is cut if no sequence contains all its tokens;
- padding: the share of the sequences' tokens that are padding;
- packing: tokens per second for planning the rows with best_fit (CPU time, best round).

The first two figures come from the batches that the loader yields, not from the plan.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict

import numpy as np

from mixtures.batch import PADDING
from mixtures.best_fit import pack
from mixtures.loader import Loader, LoaderSettings, Packing
from mixtures.stream import TokenStream


def counted(stream: TokenStream, seq_len: int, packing: Packing) -> tuple[int, int, float]:
    """Packs all documents. Returns the number of documents that would fit into one sequence, the number of these that
    are cut, and the share of padding.
    """
    loader = Loader(stream, LoaderSettings(seq_len=seq_len, batch_size=1, packing=packing, shuffle=False))
    longest: dict[tuple[str, int], int] = defaultdict(int)
    padding = tokens = 0
    for batch in loader:
        padding += int((batch.sources() == PADDING).sum())
        tokens += batch.input_ids.size
        for piece in loader.documents(int(batch.sequences[0])):
            key = (piece.shard, piece.row)
            longest[key] = max(longest[key], piece.num_tokens)
    num_fit = num_cut = 0
    for shard in range(stream.num_shards):
        name = stream.packed_document(shard, 0, at=0, begin=0, num_tokens=0).shard
        for row, length in enumerate(stream.document_lengths(shard).tolist()):
            if length <= seq_len + 1 and (name, row) in longest:
                num_fit += 1
                num_cut += longest[name, row] < length
    return num_fit, num_cut, padding / tokens


def pack_rate(stream: TokenStream, seq_len: int, rounds: int) -> float:
    lengths = [stream.document_lengths(shard) for shard in range(stream.num_shards)]
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for one in lengths:
            pack(one, seq_len)
        best = min(best, time.process_time() - begun)
    return float(sum(int(np.sum(one)) for one in lengths) / best)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="DIR")
    parser.add_argument("--seq-lens", type=int, nargs="+", default=[512, 2_048, 8_192])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for folder in args.folders:
        stream = TokenStream(folder)
        print(f"{folder}: {stream.num_tokens:,} tokens")
        for seq_len in args.seq_lens:
            for packing in ("concatenate", "best_fit"):
                fit, cut, padding = counted(stream, seq_len, packing)
                said = f"{100 * cut / max(1, fit):5.1f} % of {fit:,} cut, {100 * padding:.2f} % padding"
                print(f"  {seq_len:6,} {packing:12} {said}", flush=True)
            print(f"  {seq_len:6,} packing {pack_rate(stream, seq_len, args.rounds) / 1e6:,.0f} M tokens/s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
