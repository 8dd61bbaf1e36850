"""Makes a corpus of two sources. The whole pipeline runs on it in a second or two, in this process."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.run import main

_WORDS = """
river stone bridge water letter garden winter morning light field horse road village paper window music bread salt
ship harbour mountain valley summer carpenter lantern market orchard kitchen silver thread island
"""
Row = tuple[str, str, int, tuple[int, ...]]
CONFIG = """
name: small
mixture:
  weights: {c4: 60, books: 40}
  max_epochs: 3
  tokens: 1_000_000
  validation: {share: 0.1}
tokenizer: {vocab_size: 400, lower_vocab_size: true}
shards: {target_bytes: 20_000}
sources: {books: {book_quality: {min_num_words: 50}}}
"""


def prose(seed: str, num_words: int) -> str:
    """Returns sentences of common words, which depend only on ``seed`` and ``num_words``."""
    chosen = random.Random(seed)
    known = _WORDS.split()
    words = [chosen.choice(known) for _ in range(num_words)]
    sentences = [" ".join(words[i : i + 9]).capitalize() + "." for i in range(0, num_words, 9)]
    return "\n".join(" ".join(sentences[i : i + 4]) for i in range(0, len(sentences), 4)) + "\n"


def write_c4(path: Path, numbers: Sequence[int]) -> None:
    rows = [
        {"url": f"https://site{n % 5}.example/{n}", "timestamp": "2019-04-25T12:57:54Z", "text": prose(f"page {n}", 90)}
        for n in numbers
    ]
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode(), mtime=0))


@dataclass(frozen=True)
class Small:
    """Holds the folder of the corpus, and returns the arguments of the command that runs on it."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    def args(self, out: Path, *more: str) -> list[str]:
        given = [] if any(a.startswith("--input") for a in more) else self.inputs()
        return ["--config", str(self.config), *given, "--output", str(out), "--direct_num_workers=1", *more]

    def inputs(self) -> list[str]:
        return [f"--input=c4={self.root}/c4/*.json.gz", f"--input=books={self.root}/books"]

    def run(self, out: Path, *more: str) -> int:
        return main(self.args(out, *more))


def make(root: Path) -> Small:
    """Writes the corpus into the folder ``root``."""
    for folder in ("c4", "books"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        write_c4(root / "c4" / f"c4-train.0000{number}-of-00003.json.gz", range(number * 15, number * 15 + 15))
    with gzip.open(root / "c4" / "c4-train.00002-of-00003.json.gz", "at") as file:
        file.write(
            "{not json\n" + json.dumps({"url": "https://site0.example/0", "timestamp": "", "text": "again"}) + "\n"
        )
    for number in range(5):
        (root / "books" / f"book{number}.txt").write_text(prose(f"book {number}", 900))
    (root / "books" / "short.txt").write_text(prose("short", 20))
    (root / "config.yaml").write_text(CONFIG)
    return Small(root)


def shard_sums(out: Path) -> dict[str, str]:
    """Returns the checksums of all shards, by path."""
    files = [*(out / "shards").glob("*"), *(out / "validation").glob("*")]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


def rows_of(out: Path, kind: str = "shards") -> list[Row]:
    """Returns (source, id, epoch, tokens) of every row of the shards, in their order."""
    found: list[Row] = []
    for path in sorted((out / kind).iterdir()):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        columns = (table[n].to_pylist() for n in ("source", "doc_id", "epoch", "input_ids"))
        found += [(s, i, e, tuple(ids)) for s, i, e, ids in zip(*columns, strict=True)]
    return found


def manifest_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found
