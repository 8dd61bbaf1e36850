"""Compares encoders of a ``tokenizer.json`` or a rank file (tiktoken's format): speed, memory, and equality of ids.

Run: ``python benchmarks/encode_kinds.py --tokenizer FILE TEXT_OR_FOLDER... [--rounds N] [--mb N]``

- ours: ``tokenizer.encode.Encoder``, once with gigatoken (if it is installed) and once without;
- tokenizers or tiktoken: the reference library, one thread. The ids of the other encoders are compared with its ids;
- gigatoken: gigatoken alone, one thread. (Our encoder loads gigatoken again from time to time, because gigatoken's
  memory grows with the text. In this row, it is loaded once per round);
- kitoken: the same file.

The speed is in megabytes of text per second of the process's CPU time, best of the rounds. Texts are read as in
``benchmarks/encode.py``. Every encoder gets the same texts in the same batches, and the ids of all texts are compared.
gigatoken and kitoken are loaded without control tokens such as ``<s>``. A rank file does not contain the pattern that
splits texts into words, so the pattern is chosen by the file's name.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")

import numpy as np
from encode import batches, texts_of

from tokenizer.encode import Encoder
from tokenizer.encoder_settings import EncoderSettings

Encode = Callable[[list[str]], list[Any]]


def ours(path: Path, fast: str) -> Encode:
    settings = EncoderSettings(bos=False, eos=False, fast=fast).for_file(str(path))  # type: ignore[arg-type]
    made = Encoder.load(path.read_bytes(), settings=settings)
    print(f"  {made.codec.accelerator or made.codec.library} encodes")

    def encode(texts: list[str]) -> list[Any]:
        ids = made.encode_batch(texts)
        return np.split(ids.values.to_numpy(), ids.offsets.to_numpy()[1:-1])

    return encode


def reference(path: Path) -> Encode:
    if path.suffix == ".json":
        import tokenizers

        made = tokenizers.Tokenizer.from_file(str(path))
        made.encode_special_tokens = True
        made.no_truncation()
        return lambda texts: [one.ids for one in made.encode_batch_fast(texts, add_special_tokens=False)]
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe

    ranks = load_tiktoken_bpe(str(path))
    pattern = EncoderSettings().for_file(str(path)).regex()
    encoding = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda texts: [encoding.encode_ordinary(text) for text in texts]


def without_control(path: Path) -> str:
    content = json.loads(path.read_text(encoding="utf-8"))
    content["added_tokens"] = [token for token in content.get("added_tokens", []) if not token["special"]]
    return json.dumps({**content, "post_processor": None})


def gigatoken(path: Path) -> Encode:
    import gigatoken as library

    if path.suffix == ".json":
        made = library.Tokenizer.from_json(without_control(path))
    else:
        made = library.Tokenizer.from_tiktoken(path, path.name.removesuffix("_base.tiktoken"), {})

    def encode(texts: list[str]) -> list[Any]:
        layout = made.encode_batch(texts, parallel=False).layout
        return np.split(np.asarray(layout.content.data), np.asarray(layout.offsets.data)[1:-1])

    return encode


def kitoken(path: Path) -> Encode:
    from kitoken import Kitoken

    with tempfile.TemporaryDirectory() as folder:
        if path.suffix == ".json":
            copy = Path(folder, "tokenizer.json")
            copy.write_text(without_control(path), encoding="utf-8")
            made = Kitoken.from_file(str(copy))
        else:
            made = Kitoken.from_tiktoken(path.read_bytes())
    return lambda texts: made.encode_all(texts, False)


PEERS: dict[str, Callable[[Path], Encode]] = {
    "reference library": reference,
    "ours": lambda path: ours(path, "auto"),
    "ours, fast: off": lambda path: ours(path, "off"),
    "gigatoken": gigatoken,
    "kitoken": kitoken,
}


def memory_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--tokenizer", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--mb", type=int, default=40, help="of text at most")
    args = parser.parse_args()
    texts = texts_of(args.texts, args.mb * 1_000_000)
    size = sum(len(text.encode()) for text in texts)
    print(f"{args.tokenizer.name}; {len(texts):,} texts, {size / 1e6:.1f} MB, best of {args.rounds}")
    parts = list(batches(texts))
    wanted = [[np.asarray(ids, np.int64) for ids in reference(args.tokenizer)(part)] for part in parts]
    for name, make in PEERS.items():
        try:
            encode = make(args.tokenizer)
        except (ImportError, ValueError, RuntimeError) as error:
            print(f"{name:20} left out: {str(error)[:80]}")
            continue
        seconds, before = [], memory_mb()
        for _ in range(args.rounds):
            encode = make(args.tokenizer)
            begun = time.process_time()
            for part in parts:
                encode(part)
            seconds.append(time.process_time() - begun)
        grown = memory_mb() - before
        found = [encode(part) for part in parts]
        pairs = [(a, b) for i, j in zip(found, wanted, strict=True) for a, b in zip(i, j, strict=True)]
        equal = sum(np.array_equal(np.asarray(a, np.int64), b) for a, b in pairs)
        rate = size / 1e6 / min(seconds)
        print(f"{name:20} {rate:7.2f} MB/s  +{grown:5.0f} MB  ids equal on {equal:,} of {len(pairs):,}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
