"""Runs CCNet's own code, from a checkout of facebookresearch/cc_net, in the same order as its script ``mine.py``.

Here CCNet runs in one process and writes no output, so it is faster than in a real run. It stores hashes in a Python
dictionary, and prints a message if the faster package ``getpy`` is missing.
"""

from __future__ import annotations

import gzip
import importlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class CcNet:
    """Runs CCNet's stages one after the other and measures the CPU seconds of each."""

    def __init__(self, root: str, language_model: str, lm_dir: Path) -> None:
        sys.path.insert(0, root)
        warnings.simplefilter("ignore")
        self._module: Callable[[str], Any] = lambda name: importlib.import_module(f"cc_net.{name}")
        self._language_model, self._lm_dir = Path(language_model), lm_dir
        self.seconds: dict[str, float] = {}

    def timed(self, stage: str, run: Callable[[], Any]) -> Any:
        begun = time.process_time()
        result = run()
        self.seconds[stage] = time.process_time() - begun
        return result

    def run(self, paths: list[str], cutoffs: Path) -> list[dict[str, Any]]:
        """Runs all stages and returns the kept pages. Sets ``seconds``: CPU seconds of each stage except reading."""
        pages = list(self.read(paths))
        dedup = self._module("dedup")
        hashes = self._module("flat_hash_set").NaiveHashSet()
        collector = dedup.HashesCollector("raw_content", hashes=hashes)
        self.timed("dedup, pass 1", lambda: [collector.do(page) for page in pages])
        remover = dedup.DuplicatesRemover("raw_content", [])
        remover.duplicates = hashes
        left = self.timed("dedup, pass 2", lambda: self._kept(map(remover.do, pages)))
        classifier = self._module("split_by_lang").Classifier(
            self._language_model, "raw_content", "language", threshold=0.5
        )
        classifier._prepare()
        left = self.timed("language", lambda: self._kept(map(classifier.do, left)))
        scored = self._module("perplexity")
        names = sorted(path.name.split(".")[0] for path in self._lm_dir.glob("*.arpa.bin"))
        pieces = scored.MultiSentencePiece(
            {name: self._lm_dir / f"{name}.sp.model" for name in names}, "raw_content", "tokenized", normalize=True
        )
        lm = scored.DocLM(
            {name: self._lm_dir / f"{name}.arpa.bin" for name in names}, "tokenized", "perplexity", normalize=False
        )
        pieces._prepare()
        lm._prepare()
        for name in names:
            lm.get_lm(name)
        buckets = scored.PerplexityBucket(cutoffs)
        buckets._prepare()
        drop = scored.DropKeys("tokenized")
        steps = (pieces, lm, buckets, drop)

        def score(page: dict[str, Any]) -> dict[str, Any]:
            for step in steps:
                page = step.do(page)
            return page

        return self.timed("perplexity", lambda: [score(page) for page in left])

    def read(self, paths: list[str]) -> Iterator[dict[str, Any]]:
        """Reads the WET files, and yields each page of 300 characters or more."""
        reader = self._module("process_wet_file")
        for path in paths:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                yield from reader.parse_warc_file(lines, min_len=300)

    @staticmethod
    def _kept(pages: Iterator[dict[str, Any] | None]) -> list[dict[str, Any]]:
        return [page for page in pages if page is not None]
