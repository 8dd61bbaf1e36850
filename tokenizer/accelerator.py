"""Runs gigatoken, an optional library that computes the same ids as ``tokenizers`` and ``tiktoken``, but faster.

gigatoken is a young library. Only version :data:`VERSION` is used, because no other version was examined. Before a run
uses gigatoken, :func:`tokenizer.proof.prove` compares its ids with those of the reference library on some of the run's
text. This module handles three properties of gigatoken:

- It stores every distinct word that it sees, so it is loaded again after :data:`RESTART_BYTES` of text.
- It crashes on bytes that are not UTF-8, so it is given only strings that were checked.
- It finds special tokens in texts, so it is loaded without special tokens.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.codec import Array
from tokenizer.encoder_settings import PATTERNS

VERSION = "0.10.0"
RESTART_BYTES = 256 << 20
"""After this many bytes of text, gigatoken is loaded again to free its memory. The memory grows by about one byte per
byte of varied text."""
_SCHEMES = {"r50k_base": "r50k", "cl100k_base": "cl100k", "o200k_base": "o200k"}


class Gigatoken:
    """Wraps a tokenizer that gigatoken loaded. :meth:`of_json` and :meth:`of_ranks` create one."""

    name = f"gigatoken {VERSION}"

    @staticmethod
    def is_installed() -> bool:
        """True if the version of gigatoken that this project examined is installed."""
        return _library() is not None

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._loaded = load()
        self._seen_bytes = 0

    @classmethod
    def of_json(cls, text: str) -> Gigatoken | None:
        """Returns an encoder for a ``tokenizer.json``; None if gigatoken is not installed or cannot read the file.

        The encoder does not know the file's special tokens, so text that spells one is encoded as ordinary text.
        """
        library = _library()
        return cls._of(lambda: library.Tokenizer.from_json(text)) if library is not None else None

    @classmethod
    def of_ranks(cls, data: bytes, pattern: str) -> Gigatoken | None:
        """Returns an encoder for a tiktoken rank file. Returns None if gigatoken is not installed or does not know
        ``pattern``, the regular expression that splits texts.
        """
        library = _library()
        scheme = next((_SCHEMES[name] for name, regex in PATTERNS.items() if regex == pattern), None)
        if library is None or scheme is None:
            return None

        def load() -> Any:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "ranks.tiktoken")
                path.write_bytes(data)
                return library.Tokenizer.from_tiktoken(path, scheme, {})

        return cls._of(load)

    @classmethod
    def _of(cls, load: Callable[[], Any]) -> Gigatoken | None:
        try:
            return cls(load)
        except BaseException as error:
            if is_panic(error) or isinstance(error, ValueError | TypeError | KeyError | RuntimeError):
                return None  # gigatoken does not read this kind of tokenizer
            raise

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids (uint32) of all texts, concatenated, and the number of ids of each text.
        ``texts`` is a large_string array of valid UTF-8."""
        if not len(texts):
            return np.empty(0, np.uint32), np.empty(0, np.int64)
        self._seen_bytes += int(pc.sum(pc.binary_length(texts)).as_py())
        if self._seen_bytes > RESTART_BYTES:
            self._loaded, self._seen_bytes = self._load(), 0
        layout = self._loaded.encode_batch(texts.to_pylist(), parallel=False).layout
        offsets = np.asarray(layout.offsets.data)
        ids = np.asarray(layout.content.data)[int(offsets[0]) : int(offsets[-1])]
        return ids, np.diff(offsets).astype(np.int64)


def is_panic(error: BaseException) -> bool:
    """Returns True if ``error`` is a panic (a crash of a library written in Rust). Such an error is not an
    ``Exception``.
    """
    return type(error).__name__ == "PanicException"


def _library() -> Any:
    """Imports gigatoken. Returns None if it is not installed, or if its version is not :data:`VERSION`."""
    try:
        if metadata.version("gigatoken") != VERSION:
            return None
        import gigatoken
    except ImportError:  # PackageNotFoundError is an ImportError
        return None
    return gigatoken
