"""Measures what libraries alone need for a source: ``whole_runs.py`` prints it beside the whole run.

    python benchmarks/bare_kernels.py SOURCE GLOB... --models DIR --output OUT

The libraries are: the decompressor of the input; fastText, if the source has a step for the language; SentencePiece and
KenLM for the English texts, if it has the step ``perplexity``; and Arrow, which writes the Parquet files of ``clean/``
and ``dropped/`` once more. ``OUT`` is the output of a run on the same input. The models get the texts as the reader
yields them, the first 100,000 characters of each. A run judges somewhat less: it has dropped texts and lines by then.
Prints a line of JSON: the CPU seconds of each library.
"""

from __future__ import annotations

import argparse
import bz2
import io
import json
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from isal import igzip

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.whole_run_child import documents_of
from filters.ccnet.perplexity import normalize
from pipeline.files.files import open_file
from pipeline.models.find import find_models
from pipeline.models.load import load
from pipeline.settings.inputs import list_inputs
from pipeline.sources import SOURCES

_PIECE_BYTES = 1 << 20
_MAX_CHARS = 100_000


def unpack(path: str) -> None:
    """Reads a file and decompresses it, if its ending says how. Of a zip and of a tar, all members are unpacked."""
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                archive.read(name)
        return
    if path.endswith(".tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                data = tar.extractfile(member)
                if data and member.name.endswith(".gz"):
                    igzip.decompress(data.read())
        return
    opened: Any = {"gz": igzip.open, "bz2": bz2.open}.get(path.rsplit(".", 1)[-1], open)
    with opened(path, "rb") as file:
        while file.read(_PIECE_BYTES):
            pass


def took(work: Callable[[], Any]) -> tuple[float, Any]:
    """Calls a function. Returns its CPU seconds and its result."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def model_seconds(name: str, texts: list[str], models_dir: str) -> dict[str, float]:
    """Returns the seconds of fastText, SentencePiece and KenLM, as far as the source uses them."""
    keys = {key for step in SOURCES[name].steps for key in getattr(step, "MODELS", ())}
    found, models = {}, find_models(models_dir)
    if "language" in keys:
        language = load("language", models["language"])
        lines = [text.replace("\n", " ") + "\n" for text in texts]
        found["fastText"], labels = took(lambda: [language._predict(line, 1, 0.0, "strict") for line in lines])
        if "perplexity" in keys:
            english = [text for text, told in zip(texts, labels, strict=True) if told and told[0][1].endswith("en")]
            scorer = load("perplexity", models["perplexity"])["en"]
            plain = [normalize(text).encode() for text in english]
            found["SentencePiece"], pieces = took(lambda: [scorer.pieces.encode(p, out_type=bytes) for p in plain])
            joined = [b" ".join(one) for one in pieces]
            found["KenLM"] = took(lambda: [scorer.lm.score(one) for one in joined])[0]
    return found


def parquet_seconds(name: str, output: Path) -> float:
    """Returns the seconds for writing the clean and the dropped documents of a source once more."""
    paths = [p for kind in ("clean", "dropped") for p in sorted((output / kind / name).glob("*.parquet"))]
    tables = [pq.read_table(path) for path in paths]

    def write_all() -> None:
        for table in tables:
            pq.write_table(table, io.BytesIO(), compression="zstd", write_page_checksum=True)

    return took(write_all)[0]


def main() -> None:
    """Measures the libraries for one source."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source")
    parser.add_argument("globs", nargs="+")
    parser.add_argument("--models", required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    listing = list_inputs(args.source, args.globs)
    source = SOURCES[args.source]
    found = {"unpacking": took(lambda: [unpack(file.path) for file in listing.files])[0]}
    texts = [d["text"][:_MAX_CHARS] for d in documents_of(source, source.reader.units(listing.files, open_file)) if d]
    found |= model_seconds(args.source, texts, args.models)
    found["Parquet"] = parquet_seconds(args.source, args.output)
    print(json.dumps({name: round(seconds, 2) for name, seconds in found.items()}))


if __name__ == "__main__":
    main()
