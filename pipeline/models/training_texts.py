"""Reads the texts that models are trained on: plain text, JSON lines or Parquet, one document at a time."""

from __future__ import annotations

import glob
import gzip
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from mixtures.parquet_rows import DAMAGE, open_parquet, whole_batches

_ENDINGS = (".parquet", ".jsonl", ".json", ".txt")
_RAW = re.compile(r"\.(?:wet|warc|xml|tar|7z|zip|avro)(?:\.|$)")
"""Matches the name of a file as it is published, such as a WET file or a dump of Wikipedia."""


@dataclass(frozen=True, slots=True)
class Text:
    """Holds what training needs of a document: its text, language and url.

    ``language`` and ``url`` are empty if the file does not have them.
    """

    text: str
    language: str = ""
    url: str = ""


def num_bytes_of(text: Text) -> int:
    """Returns the size of a document's text in bytes, for the progress display."""
    return len(text.text) if text.text.isascii() else len(text.text.encode("utf-8", "replace"))


def expand_globs(patterns: Iterable[str]) -> list[str]:
    """Returns the files that match the patterns, sorted and without duplicates. A pattern can also name a folder. Then
    all files below the folder that can be read are returned; hidden files and folders are left out.

    Raises:
        ValueError: a pattern matches nothing, or matches files that cannot be read as texts.
    """
    paths: set[str] = set()
    for pattern in patterns:
        pattern = os.path.expanduser(pattern)
        if os.path.isdir(pattern):
            paths.update(_below(pattern))
            continue
        found = [path for path in glob.glob(pattern, recursive=True) if Path(path).is_file()]
        if not found:
            is_folder = any(Path(path).is_dir() for path in glob.iglob(pattern, recursive=True))
            hint = (
                f"; it matches folders: name one, or write {os.path.join(pattern, '*.parquet')!r}" if is_folder else ""
            )
            raise ValueError(f"{pattern}: matches no file{hint}")
        for path in found:
            _check_ending(path)
        paths.update(found)
    return sorted(paths)


def _below(folder: str) -> list[str]:
    """Returns the files of texts below a folder."""
    if os.path.isdir(os.path.join(folder, "clean")) and os.path.isdir(os.path.join(folder, "dropped")):
        names = sorted(os.listdir(os.path.join(folder, "clean"))) or ["SOURCE"]
        clean = ", ".join(os.path.join(folder, "clean", name) for name in names)
        raise ValueError(f"{folder}: is the output of a run; name the clean documents of a source: {clean}")
    files = [
        path for path in glob.glob(os.path.join(glob.escape(folder), "**"), recursive=True) if Path(path).is_file()
    ]
    texts = [path for path in files if _plain_name(path).endswith(_ENDINGS)]
    if not texts and files:
        _check_ending(sorted(files)[0])
    if not texts:
        raise ValueError(f"{folder}: there is no file in this folder")
    return texts


def _plain_name(path: str) -> str:
    return path.removesuffix(".gz").removesuffix(".zst")


def _check_ending(path: str) -> None:
    """Checks that the name of a file is that of a file of texts."""
    if _plain_name(path).endswith(_ENDINGS):
        return
    hint = ""
    if _RAW.search(path.rsplit("/", 1)[-1].lower()):
        hint = (
            "; this is raw input: clean it first with `python -m pipeline.run --phase clean --input SOURCE=GLOB "
            "--output OUT`, and give OUT/clean/SOURCE (docs/models.md has each command)"
        )
    raise ValueError(f"{path}: texts are read from {', '.join(_ENDINGS)} (also .gz, .zst){hint}")


def read_texts(paths: Iterable[str]) -> Iterator[Text]:
    """Yields the documents of files: rows of ``.parquet``, or lines of ``.jsonl``, ``.json`` or ``.txt``. Files with
    lines may be compressed (``.gz``, ``.zst``).

    In a row or a JSON object, the field ``text`` has the document. A JSON object without ``text`` may have
    ``raw_content`` instead, as in cc_net's files. The fields ``language`` and ``url`` are optional. Empty documents are
    skipped.

    Raises:
        ValueError: the format of a file is not supported, or a line is not valid. The message names the file.
    """
    for path in paths:
        _check_ending(path)
        name = _plain_name(path)
        if name.endswith(".parquet"):
            yield from _rows(path)
        else:
            yield from _lines(path, is_json=not name.endswith(".txt"))


def _rows(path: str) -> Iterator[Text]:
    try:
        file = open_parquet(path)
        if "text" not in file.schema_arrow.names:
            raise pa.ArrowInvalid("it has no column `text`")
        columns = [name for name in ("text", "language", "url") if name in file.schema_arrow.names]
        for batch in whole_batches(file, batch_size=1024, columns=columns):
            for row in batch.to_pylist():
                if row["text"]:
                    yield Text(row["text"], row.get("language") or "", row.get("url") or "")
    except DAMAGE as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from error


def _lines(path: str, *, is_json: bool) -> Iterator[Text]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if not is_json:
                yield Text(line.rstrip("\r\n"))
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: not JSON ({error})") from error
            text = (row.get("text") or row.get("raw_content")) if isinstance(row, dict) else None
            if isinstance(text, str) and text:
                yield Text(text, str(row.get("language") or ""), str(row.get("url") or ""))


@contextmanager
def _opened(path: str) -> Iterator[Iterable[str]]:
    with open(path, "rb") as raw:
        if path.endswith(".zst"):
            binary: Any = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        elif path.endswith(".gz"):
            binary = gzip.GzipFile(fileobj=raw)
        else:
            binary = raw
        # Only a line feed ends a line, because a text may contain the other line ends of Unicode.
        yield io.TextIOWrapper(binary, encoding="utf-8", errors="replace", newline="\n")
