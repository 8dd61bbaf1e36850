"""The shards of a run as one stream of tokens, memory-mapped: any range of it at once, with its documents' borders."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mixtures.manifest import read_manifest, shard_infos, validation_infos
from mixtures.shards import ShardInfo, ShardMetadata

_MAX_OPEN_SHARDS = 4_096
"""Memory maps held at a time (Linux allows 65,530 a process); the one longest not used is closed."""

Array = np.ndarray[Any, Any]


class Block(NamedTuple):
    """A record batch of a shard as numpy views of the mapped file."""

    ids: Array
    offsets: Array
    """Where each document begins in ``ids``, and last where the last one ends."""
    sources: Array


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A mapped shard: its blocks, and where each begins in the shard's tokens."""

    blocks: tuple[Block, ...]
    begins: Array


class TokenStream:
    """The tokens of shards one after the other, in the manifest's order.

    Attributes:
        num_tokens: of the whole stream.
        source_names: what the numbers in ``sources`` mean.
    """

    def __init__(self, folder: str | Path, *, validation_source: str | None = None) -> None:
        """Reads the manifest and checks that every shard is there, whole in size, readable, and of this run.

        Contents are not summed here: ``python -m mixtures.verify`` does.

        Raises:
            ValueError: one is not; the message holds its line of the manifest.
        """
        self.folder = Path(folder)
        self.manifest = read_manifest(folder)
        self._infos = self._chosen(validation_source)
        self.source_names: tuple[str, ...] = tuple(sorted(self.manifest["sources"]))
        self.num_tokens = sum(info.tokens for info in self._infos)
        self._ends = np.cumsum([info.tokens for info in self._infos])
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        for info in self._infos:
            check_shard(self.folder, info, self.manifest, self.source_names)

    def _chosen(self, validation_source: str | None) -> list[ShardInfo]:
        if validation_source is None:
            return [info for info in shard_infos(self.manifest) if info.tokens]
        held = validation_infos(self.manifest)
        if validation_source not in held:
            raise ValueError(f"{self.folder} holds no validation documents of {validation_source}: of {sorted(held)}")
        return [info for info in held[validation_source] if info.tokens]

    def shards_of(self, tokens: Array) -> Array:
        """The numbers of the shards in which these tokens of the stream stand."""
        return np.asarray(self._ends.searchsorted(tokens, "right"))

    def shard_begin(self, shard: int) -> int:
        """The first token of a shard, as a place in the stream."""
        return int(self._ends[shard - 1]) if shard else 0

    def open(self, shard: int) -> OpenShard:
        """The mapped shard of this number."""
        found = self._open.get(shard)
        if found is None:
            found = self._map(self._infos[shard])
            self._open[shard] = found
            if len(self._open) > _MAX_OPEN_SHARDS:
                self._open.popitem(last=False)
        elif len(self._infos) > _MAX_OPEN_SHARDS:
            self._open.move_to_end(shard)
        return found

    def _map(self, info: ShardInfo) -> OpenShard:
        reader = pa.ipc.open_file(pa.memory_map(str(self.folder / info.path)))
        blocks = [_block(reader.get_batch(i), self.source_names) for i in range(reader.num_record_batches)]
        begins = np.cumsum([0, *(len(block.ids) for block in blocks)])
        if begins[-1] != info.tokens:
            raise ValueError(f"{info.path} holds {begins[-1]:,} tokens, its line in the manifest says {info.tokens:,}")
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
    return Block(values, offsets - offsets[0] if offsets[0] else offsets, sources)


def check_shard(folder: Path, info: ShardInfo, manifest: Mapping[str, Any], source_names: Sequence[str]) -> None:
    """Whether a shard is there, of the manifest's size, an Arrow file, and of the manifest's run.

    Raises:
        ValueError: it is not; the message holds the manifest's line.
    """
    path = folder / info.path
    line = f"manifest line: {info}"
    try:
        num_bytes = path.stat().st_size
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror} ({line})") from error
    if num_bytes != info.bytes:
        raise ValueError(f"{path} has {num_bytes:,} bytes where the manifest says {info.bytes:,} ({line})")
    try:
        with pa.memory_map(str(path)) as mapped:
            schema = pa.ipc.open_file(mapped).schema
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Arrow file: {error} ({line})") from error
    try:
        metadata = ShardMetadata.of(schema)
    except ValueError as error:
        raise ValueError(f"{path}: {error} ({line})") from error
    for what, found, said in (
        ("recipe", metadata.recipe, manifest["recipe"]),
        ("seed", metadata.seed, manifest["seed"]),
        ("tokenizer", metadata.tokenizer_sha256, manifest["tokenizer"]["sha256"]),
        ("vocabulary", metadata.vocab_size, manifest["tokenizer"]["vocab_size"]),
    ):
        if found != said:
            raise ValueError(f"{path} is of another run: its {what} is {found}, the manifest's {said} ({line})")
