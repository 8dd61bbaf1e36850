"""Reads the memory-mapped shards of a run as one stream of tokens, with the places at which documents begin."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mixtures.manifest import fingerprint_of, read_manifest, shard_infos, validation_infos
from mixtures.shards import ShardInfo, ShardMetadata, read_batches, shard_schema
from mixtures.storage import RemoteStorage, Storage, storage_of

_MAX_OPEN_SHARDS = 4_096
"""Largest number of open memory maps (Linux allows 65,530 per process). The least recently used map is closed first."""

_READ_BYTES = 8 * 2**20

Array = np.ndarray[Any, Any]


class Block(NamedTuple):
    """Holds one record batch of a shard, as numpy views of the mapped file."""

    ids: Array
    offsets: Array
    """The index in ``ids`` of each document's first token, then the end of the last document."""
    sources: Array
    batch: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class OpenShard:
    """Holds the blocks of a mapped shard."""

    blocks: tuple[Block, ...]
    begins: Array
    """The place of each block's first token in the shard, then the end of the last block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedDocument:
    """Describes a piece of a document in a row of the loader."""

    source: str
    doc_id: str
    epoch: int
    """The document's epoch in the mixture, from 0."""
    shard: str
    row: int
    """The document's row in its shard."""
    at: int
    """The offset of the piece's first token in the loader's row of packed tokens."""
    begin: int
    """The offset of the piece's first token in its document."""
    num_tokens: int

    def in_folder(self, path: str) -> PackedDocument:
        """Returns a copy of this piece whose shard path begins with ``path``, the output folder of a stage."""
        return replace(self, shard=f"{path}/{self.shard}")


class TokenStream:
    """Joins the tokens of all shards of a run, in the manifest's order.

    Attributes:
        num_tokens: number of tokens in the whole stream.
        source_names: the names of the sources. A token's source is stored as an index into these names.
        fingerprint: a checksum of the tokens and their order. A loader's state contains it.
        row_counts: a cache for best-fit packing. For each seq_len, it has the number of rows of each shard.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        validation_source: str | None = None,
        checksums: bool = False,
        cache_dir: str | Path | None = None,
        cache_bytes: int = 2 * 2**30,
        source_names: Sequence[str] | None = None,
    ) -> None:
        """Reads the manifest, and checks that every shard exists, has the right size, is readable, and belongs to this
        run.

        Args:
            folder: a run's output folder, or its URL (``gs://``, ``s3://``).
            validation_source: if given, the stream contains the documents that were held out of this source.
            checksums: True reads every local shard and compares its checksum, which takes about one second per
                gigabyte. Shards of a remote folder are always compared when they are fetched.
            cache_dir: the folder for shards of a remote folder while they are read (default: the system's temporary
                folder).
            cache_bytes: the largest size of that folder's content. At least one shard is always stored, and one more is
                fetched ahead.
            source_names: the value of the attribute ``source_names`` (default: the manifest's sources, sorted).

        Raises:
            ValueError: a shard does not match the manifest. The message contains its entry in the manifest.
        """
        self.storage = storage_of(folder, cache_dir=cache_dir)
        self.manifest = read_manifest(self.storage)
        self._infos = self._chosen(validation_source)
        self.source_names: tuple[str, ...] = tuple(source_names or sorted(self.manifest["sources"]))
        self.num_tokens = sum(info.tokens for info in self._infos)
        self.fingerprint = fingerprint_of(self.manifest["tokenizer"]["sha256"], self._infos)
        self.row_counts: dict[int, Array] = {}
        self._ends = np.cumsum([info.tokens for info in self._infos])
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        self._open_bytes = 0
        self._cache_bytes = cache_bytes
        check_sizes(self.storage, self._infos)
        for info in [] if self.storage.is_remote else self._infos:
            check_shard(self.storage, info, self.manifest)
            if checksums:
                check_sum(self.storage, info)

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state to be pickled for a worker. It has no memory maps, because each worker opens new ones."""
        return {**self.__dict__, "_open": OrderedDict(), "_open_bytes": 0}

    def _chosen(self, validation_source: str | None) -> list[ShardInfo]:
        if validation_source is None:
            return [info for info in shard_infos(self.manifest) if info.tokens]
        held = validation_infos(self.manifest)
        if validation_source not in held:
            there = ", ".join(sorted(held)) or "nothing"
            raise ValueError(
                f"{self.storage.place('')} holds no validation documents of {validation_source}, but of {there}"
            )
        return [info for info in held[validation_source] if info.tokens]

    def num_stages_of(self, fingerprint: object) -> int | None:
        """Returns 1 if ``fingerprint`` is that of this stream, else None. A single output counts as one stage;
        `mixtures.stages.StagedStream` has the same method for several stages.
        """
        return 1 if fingerprint == self.fingerprint else None

    @property
    def num_shards(self) -> int:
        """Number of shards that contain tokens."""
        return len(self._infos)

    def shards_of(self, tokens: Array) -> Array:
        """Returns, for each of these token positions in the stream, the number of the shard that contains it."""
        return np.asarray(self._ends.searchsorted(tokens, "right"))

    def shard_begin(self, shard: int) -> int:
        """Returns the place of a shard's first token in the stream."""
        return int(self._ends[shard - 1]) if shard else 0

    def document_lengths(self, shard: int) -> Array:
        """Returns the number of tokens of each document in a shard."""
        lengths = [np.diff(block.offsets) for block in self.open(shard).blocks]
        return np.concatenate(lengths) if lengths else np.empty(0, np.int32)

    def document(self, shard: int, row: int) -> tuple[Block, int]:
        """Returns the record batch (block) that contains a document, and the document's index in this block.

        ``row`` is the document's row in the shard.
        """
        for block in self.open(shard).blocks:
            if row < len(block.sources):
                return block, row
            row -= len(block.sources)
        raise IndexError(f"shard {shard} has no such row")

    def packed_document(self, shard: int, row: int, *, at: int, begin: int, num_tokens: int) -> PackedDocument:
        """Returns the description of a piece of a document. `PackedDocument` explains the arguments."""
        block, index = self.document(shard, row)
        return PackedDocument(
            source=self.source_names[int(block.sources[index])],
            doc_id=block.batch.column("doc_id")[index].as_py(),
            epoch=block.batch.column("epoch")[index].as_py(),
            shard=self._infos[shard].path,
            row=row,
            at=at,
            begin=begin,
            num_tokens=num_tokens,
        )

    def open(self, shard: int) -> OpenShard:
        """Returns the mapped shard with this number. Maps it first if necessary. If too many shards are open then,
        closes those that were not used for the longest time.
        """
        found = self._open.get(shard)
        if found is None:
            info = self._infos[shard]
            found = self._map(info)
            self._open[shard] = found
            self._open_bytes += info.bytes
            while len(self._open) > 1 and self._is_full():
                oldest, _ = self._open.popitem(last=False)
                self._open_bytes -= self._infos[oldest].bytes
            if isinstance(self.storage, RemoteStorage) and shard + 1 < len(self._infos):
                self.storage.fetch_ahead(self._infos[shard + 1])
        elif len(self._infos) > _MAX_OPEN_SHARDS or self.storage.is_remote:
            self._open.move_to_end(shard)
        return found

    def _is_full(self) -> bool:
        if self.storage.is_remote:
            return self._open_bytes > self._cache_bytes
        return len(self._open) > _MAX_OPEN_SHARDS

    def _map(self, info: ShardInfo) -> OpenShard:
        if isinstance(self.storage, RemoteStorage):
            self.storage.forget_ahead(info.path)
        try:
            reader = pa.ipc.open_file(self.storage.map(info))
            if self.storage.is_remote:
                check_schema(reader.schema, self.storage.place(info.path), info, self.manifest)
            blocks = [_block(batch, self.source_names) for batch in read_batches(reader)]
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self.storage.place(info.path)}: {one_line(error)} ({info.line()})") from error
        begins = np.cumsum([0, *(len(block.ids) for block in blocks)])
        if begins[-1] != info.tokens:
            raise ValueError(f"{self.storage.place(info.path)} holds {begins[-1]:,} tokens ({info.line()})")
        return OpenShard(tuple(blocks), begins)


def _block(batch: pa.RecordBatch, source_names: Sequence[str]) -> Block:
    ids = batch.column("input_ids")
    offsets = ids.offsets.to_numpy()
    values = ids.values.to_numpy()[offsets[0] : offsets[-1]]
    source = batch.column("source")
    sources = source.indices.to_numpy()
    names = source.dictionary.to_pylist()
    if names != list(source_names):
        number = np.array([source_names.index(name) if name in source_names else -1 for name in names], np.int8)
        sources = number[sources]
    return Block(values, offsets - offsets[0] if offsets[0] else offsets, sources, batch)


def check_sizes(storage: Storage, infos: Sequence[ShardInfo]) -> None:
    """Raises ValueError if a shard is missing, or if its size differs from the size in the manifest."""
    for info, found in zip(infos, storage.num_bytes([info.path for info in infos]), strict=True):
        if found is None:
            raise ValueError(f"{storage.place(info.path)} is missing ({info.line()})")
        if found != info.bytes:
            raise ValueError(f"{storage.place(info.path)} has {found:,} bytes ({info.line()})")


def check_shard(storage: Storage, info: ShardInfo, manifest: Mapping[str, Any]) -> None:
    """Raises ValueError if a shard is not a readable Arrow file, or if it belongs to another run than the manifest."""
    place = storage.place(info.path)
    try:
        with storage.map(info) as mapped:
            schema = pa.ipc.open_file(mapped).schema
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{place} is not a readable Arrow file: {one_line(error)} ({info.line()})") from error
    check_schema(schema, place, info, manifest)


def check_schema(schema: pa.Schema, place: str, info: ShardInfo, manifest: Mapping[str, Any]) -> None:
    """Raises ValueError if the metadata of a shard differ from the manifest, or if a column is missing or wrong."""
    line = info.line()
    try:
        metadata = ShardMetadata.of(schema)
    except ValueError as error:
        raise ValueError(f"{place}: {error} ({line})") from error
    for what, found, wanted in (
        ("recipe", metadata.recipe, manifest["recipe"]),
        ("seed", metadata.seed, manifest["seed"]),
        ("tokenizer", metadata.tokenizer_sha256, manifest["tokenizer"]["sha256"]),
        ("vocabulary", metadata.vocab_size, manifest["tokenizer"]["vocab_size"]),
    ):
        if found != wanted:
            raise ValueError(f"{place} is of another run: its {what} is {found}, the manifest's {wanted} ({line})")
    if not schema.equals(shard_schema(metadata.vocab_size)):
        found = one_line(schema.remove_metadata())
        raise ValueError(f"{place}: its columns are not those of a shard: {found} ({line})")


def check_sum(storage: Storage, info: ShardInfo) -> None:
    """Raises ValueError if a shard's checksum differs from the checksum in the manifest."""
    digest = hashlib.sha256()
    with storage.map(info) as mapped:
        while block := mapped.read(_READ_BYTES):
            digest.update(block)
    if digest.hexdigest() != info.sha256:
        raise ValueError(f"{storage.place(info.path)} has checksum {digest.hexdigest()[:12]}... ({info.line()})")


def one_line(message: object) -> str:
    """Returns a library's message about a damaged file as one line.

    >>> one_line(ValueError("no footer\\n  in it"))
    'no footer in it'
    """
    return " ".join(str(message).split())
