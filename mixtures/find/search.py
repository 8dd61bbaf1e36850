"""Finds strings and ids in an output's shards, either with the shards' indexes or by decoding all shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mixtures.decoder import load_decoder
from mixtures.find.checked_file import CheckedArray
from mixtures.find.index import ShardIndex, id_hash, index_path
from mixtures.find.limits import GRAIN_BYTES
from mixtures.find.same_time import has_time_of
from mixtures.find.token_match import TokenMatch
from mixtures.find.urls import ids_in_part
from mixtures.manifest import read_manifest, shard_infos, tokenizer_name, validation_infos
from mixtures.parts import is_of, source_of
from mixtures.shards import ShardInfo, read_batches
from mixtures.storage import LocalStorage
from mixtures.stream import check_sizes, check_sum, one_line
from tokenizer.encode import Encoder

Array = np.ndarray[Any, Any]

_SEARCHED_ROWS = 256
"""Rows are searched in parts. A part has at most this many rows."""
_FIRST_TOKENS, _MOST_TOKENS = 1 << 15, 1 << 19
"""About how many tokens are searched at once. The first search is small, because its hits may be enough. Each further
search has twice as many tokens, up to ``_MOST_TOKENS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow:
    """Describes a row that was found."""

    shard: str
    """The shard's path in the output."""
    row: int
    source: str
    doc_id: str
    epoch: int
    text: str | None = None
    """The text of the document. None if only its id was looked up."""


class Finder:
    """Finds rows in the training and validation shards of an output on a local disk."""

    def __init__(
        self, folder: str | Path, *, before_compare: Callable[[Sequence[ShardInfo]], None] | None = None
    ) -> None:
        """Reads the manifest and checks the shards' sizes.

        Args:
            folder: the output folder of a run.
            before_compare: is called before a search compares the checksums of shards, which takes about one second per
                gigabyte. It gets these shards.

        Raises:
            ValueError: the folder has no finished output, or a shard does not match the manifest.
        """
        if "://" in str(folder):
            raise ValueError(f"{folder}: the shards must be on a local disk to be searched")
        self.folder = Path(folder)
        manifest = read_manifest(self.folder)
        self.manifest: Mapping[str, Any] = manifest
        held = [info for infos in validation_infos(manifest).values() for info in infos]
        self.infos = [info for info in (*shard_infos(manifest), *held) if info.rows]
        check_sizes(LocalStorage(self.folder), self.infos)
        self._encoder: Encoder | None = None
        self._match: tuple[str, TokenMatch | None] | None = None
        self._before_compare = before_compare
        self._compared: set[str] = set()

    def encoder(self) -> Encoder:
        """Returns the output's tokenizer. Raises ValueError if the shards were made with a different tokenizer."""
        if self._encoder is None:
            path = self.folder / tokenizer_name(self.manifest)
            encoder = load_decoder(path)
            if encoder.sha256 != self.manifest["tokenizer"]["sha256"]:
                raise ValueError(f"{path} is not the tokenizer that made the shards")
            self._encoder = encoder
        return self._encoder

    def text(self, wanted: str) -> Iterator[FoundRow]:
        """Yields the rows whose decoded text contains exactly this string. Searches one shard after another.

        Raises:
            ValueError: the string has fewer than `GRAIN_BYTES` bytes, or a shard has no index, or has changed since
                its index was made.
        """
        data = wanted.encode()
        if len(data) < GRAIN_BYTES:
            raise ValueError(
                f"{wanted!r} has {len(data)} bytes: the index finds strings of at least {GRAIN_BYTES}; "
                "--scan finds shorter ones by decoding all shards"
            )
        indexes = self._indexes()
        encoder = self.encoder()
        for info, index in zip(self.infos, indexes, strict=True):
            blocks = index.candidates(data)
            if len(blocks):
                yield from self._matching(info, index.rows(blocks), wanted, encoder)

    def scan(self, wanted: str) -> Iterator[FoundRow]:
        """Yields the same rows as `text`, but without indexes: decodes all shards and searches their texts. The string
        may have any length except 0.
        """
        if not wanted:
            raise ValueError("an empty string is in every row")
        encoder = self.encoder()
        for info in self.infos:
            yield from self._matching(info, [(0, info.rows)], wanted, encoder)

    def ids(self, wanted: Sequence[tuple[str | None, str]]) -> Iterator[FoundRow]:
        """Yields the rows of the wanted documents.

        Args:
            wanted: the source and id of each document. If the source is None, documents with this id are found in all
                sources.

        Raises:
            ValueError: a shard has no index, or has changed since its index was made.
        """
        indexes = self._indexes()
        for info, index in zip(self.infos, indexes, strict=True):
            with self._open(info) as shard:
                for source, doc_id in wanted:
                    for row in _rows_of_id(shard, index.id_rows, doc_id):
                        hit = shard.hit(row)
                        if source is None or is_of(hit.source, source):
                            yield hit

    def ids_of_url(self, url: str, clean: str | Path | None = None) -> list[tuple[str | None, str]]:
        """Returns the source and id of each document in the ``clean`` folder that has this url.

        Args:
            clean: the ``clean`` folder (default: the output's own). Only its columns of ids and urls are read.

        Raises:
            ValueError: the folder contains no clean documents, or a file in it is damaged.
        """
        root = Path(clean) if clean is not None else self.folder / "clean"
        found: list[tuple[str | None, str]] = []
        sources = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        mixed = {source_of(name) for name in self.manifest["sources"]}
        if not sources:
            raise ValueError(f"{root} holds no clean documents, where urls are looked up: name the folder with --clean")
        for path in sources:
            parts = sorted(path.glob("*.parquet")) if path.name in mixed else []
            found += [(path.name, doc_id) for part in parts for doc_id in ids_in_part(part, url)]
        return found

    def _indexes(self) -> list[ShardIndex]:
        """Returns the index of each shard. A shard that was written or copied after its index was made can have other
        content of the same size. So its checksum is compared, once per `Finder`.
        """
        indexes = [self._index(info) for info in self.infos]
        unsure = [info for info in self.infos if not self._is_sure(info)]
        if unsure and self._before_compare is not None:
            self._before_compare(unsure)
        for info in unsure:
            check_sum(LocalStorage(self.folder), info)
            self._compared.add(info.path)
        return indexes

    def _is_sure(self, info: ShardInfo) -> bool:
        return info.path in self._compared or has_time_of(index_path(self.folder, info), self.folder / info.path)

    def _index(self, info: ShardInfo) -> ShardIndex:
        path = index_path(self.folder, info)
        again = f"make it with python -m mixtures.find --make-index {self.folder}"
        if not path.is_file():
            raise ValueError(f"{self.folder / info.path} has no index ({path}): {again}")
        index = ShardIndex.read(path)
        if index.sha256 != info.sha256:
            raise ValueError(f"{path} is of another {info.path} than lies there now: {again}")
        return index

    def _open(self, info: ShardInfo) -> _OpenShard:
        return _OpenShard(self.folder, info)

    def _matching(
        self, info: ShardInfo, ranges: Sequence[tuple[int, int]], wanted: str, encoder: Encoder
    ) -> Iterator[FoundRow]:
        match = self._token_match(wanted, encoder)
        with self._open(info) as shard:
            for row, text in shard.texts(shard.candidates(ranges, match), encoder):
                if wanted in text:
                    yield shard.hit(row, text)

    def _token_match(self, wanted: str, encoder: Encoder) -> TokenMatch | None:
        """Returns an object that finds the string in ids. Returns None if only decoded text can be searched."""
        if self._match is None or self._match[0] != wanted:
            pieces = None if "\ufffd" in wanted else encoder.codec.piece_bytes()  # it may replace bytes not in UTF-8
            self._match = wanted, TokenMatch(pieces, wanted.encode()) if pieces is not None else None
        return self._match[1]


class _OpenShard:
    """Gives access to a shard's rows by their numbers."""

    def __init__(self, folder: Path, info: ShardInfo) -> None:
        self._info, self._path = info, folder / info.path

    def __enter__(self) -> _OpenShard:
        try:
            self._mapped = pa.memory_map(str(self._path))
            self._batches = list(read_batches(pa.ipc.open_file(self._mapped)))
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self._path} is damaged: {one_line(error)} ({self._info.line()})") from error
        self._ends = np.cumsum([len(batch) for batch in self._batches])
        self._arrays: dict[int, tuple[Array, Array]] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._batches, self._arrays = [], {}
        self._mapped.close()

    def place(self, row: int) -> tuple[pa.RecordBatch, int]:
        """Returns the batch that contains a row, and the row's index in the batch."""
        number = int(self._ends.searchsorted(row, "right"))
        batch = self._batches[number]
        return batch, row - int(self._ends[number]) + len(batch)

    def candidates(self, ranges: Sequence[tuple[int, int]], match: TokenMatch | None) -> Iterator[int]:
        """Yields the rows in these ranges that may contain the string for which ``match`` was made. If ``match`` is
        None, yields all rows in the ranges."""
        if match is None:
            yield from chain.from_iterable(range(first, end) for first, end in ranges)
            return
        parts, size, enough = [], 0, _FIRST_TOKENS
        for part in chain.from_iterable(self._parts(first, end) for first, end in ranges):
            parts.append(part)
            size += len(part[1])
            if size >= enough:
                yield from _rows_with(parts, match)
                parts, size, enough = [], 0, min(2 * enough, _MOST_TOKENS)
        if parts:
            yield from _rows_with(parts, match)

    def _parts(self, first: int, end: int) -> Iterator[tuple[int, Array, Array]]:
        """Divides the rows from ``first`` to before ``end`` into parts, so that each part lies in one batch.

        Yields three values per part: the number of its first row, its ids, and the index in them where each row ends.
        """
        while first < end:
            number = int(self._ends.searchsorted(first, "right"))
            if number not in self._arrays:
                lists = self._batches[number].column("input_ids")
                self._arrays[number] = lists.values.to_numpy(), lists.offsets.to_numpy()
            values, offsets = self._arrays[number]
            at = first - int(self._ends[number]) + len(self._batches[number])
            last = min(at + min(end - first, _SEARCHED_ROWS), len(self._batches[number]))
            begin = int(offsets[at])
            yield first, values[begin : int(offsets[last])], offsets[at + 1 : last + 1] - begin
            first += last - at

    def texts(self, rows: Iterable[int], encoder: Encoder) -> Iterator[tuple[int, str]]:
        """Yields the number and the decoded text of each row."""
        for row in rows:
            batch, at = self.place(row)
            try:
                (text,) = encoder.decode_batch(batch.column("input_ids").slice(at, 1))
            except IndexError as error:
                raise ValueError(f"{self._path}: row {row} has an id that the tokenizer lacks") from error
            yield row, text

    def doc_id(self, row: int) -> str:
        batch, at = self.place(row)
        return str(batch.column("doc_id")[at].as_py())

    def hit(self, row: int, text: str | None = None) -> FoundRow:
        batch, at = self.place(row)
        source, doc_id, epoch = (batch.column(name)[at].as_py() for name in ("source", "doc_id", "epoch"))
        return FoundRow(shard=self._info.path, row=row, source=source, doc_id=doc_id, epoch=epoch, text=text)


def _rows_with(parts: Sequence[tuple[int, Array, Array]], match: TokenMatch) -> list[int]:
    """Returns the rows in which the string may begin. If the tokenizer lacks one of the ids, returns all rows."""
    ids = np.concatenate([part for _, part, _ in parts])
    begins = np.cumsum([0, *(len(part) for _, part, _ in parts)])
    rows = np.concatenate([first + np.arange(len(ends)) for first, _, ends in parts])
    ends = np.concatenate([ends + begin for (_, _, ends), begin in zip(parts, begins, strict=False)])
    try:
        places = match.places(ids)
    except IndexError:
        return [int(row) for row in rows]
    return [int(row) for row in rows[np.unique(ends.searchsorted(places, "right"))]]


def _rows_of_id(shard: _OpenShard, id_rows: Array | CheckedArray, doc_id: str) -> list[int]:
    """Returns the rows with this id. ``id_rows`` is sorted by the hashes of the ids, so a binary search finds them."""
    wanted, low, high = id_hash(doc_id), 0, len(id_rows)
    while low < high:
        middle = (low + high) // 2
        if id_hash(shard.doc_id(int(id_rows[middle]))) < wanted:
            low = middle + 1
        else:
            high = middle
    found = []
    while low < len(id_rows) and id_hash(there := shard.doc_id(int(id_rows[low]))) == wanted:
        found += [int(id_rows[low])] if there == doc_id else []
        low += 1
    return found
