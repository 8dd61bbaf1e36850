"""``python -m mixtures.verify DIR``: reads every shard of a run and compares it with the manifest.

Checks of each shard:

- It exists, belongs to this run, and has the right size and checksum.
- It has the right number of rows, of tokens, and of tokens by source.
- All its ids are below the size of the vocabulary.

Checks of all shards together:

- The totals are right.
- No document occurs twice in an epoch, and no held-out document is in the training shards. The training shards include
  the shards of earlier stages that the run continues.
- The folders of the shards contain no other file.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from mixtures.manifest import (
    NAME,
    fingerprint_of,
    had_fingerprint,
    read_manifest,
    shard_infos,
    tokenizer_name,
    validation_infos,
)
from mixtures.parts import source_of
from mixtures.shards import ShardInfo, read_batches
from mixtures.stages import beside
from mixtures.storage import LocalStorage
from mixtures.stream import check_shard, check_sizes, check_sum

_READ_BYTES = 8 * 2**20
_MAX_KEYS = 16_000_000
"""At most this many keys of documents are compared in memory at a time (256 MB). If there are more keys, temporary
files hold them."""
_MAX_FILES = 512
"""The largest number of temporary files that are open at a time. This number is enough for 8 billion documents."""
_KEY = np.dtype([("high", np.uint64), ("low", np.uint64)])


def verify(folder: str | Path) -> Iterator[str]:
    """Checks an output folder. Yields one line per fault, and nothing if there is no fault.

    At most one record batch and 16 million keys are in memory, for any size of output. A key is a document's hash.

    Raises:
        ValueError: the folder has no manifest.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    training, held = shard_infos(manifest), validation_infos(manifest)
    yield from _check_tokenizer(folder, manifest)
    fingerprint = fingerprint_of(manifest["tokenizer"]["sha256"], training)
    if manifest.get("fingerprint", fingerprint) != fingerprint:
        yield f"{folder / NAME}: its fingerprint is not that of the shards it lists"
    yield from _check_listing(folder, [*training, *(info for infos in held.values() for info in infos)])
    stages = manifest.get("stages", [])
    num_held = sum(one["documents"] for one in manifest["validation"].values())
    with _Keys(manifest["documents"] + num_held + sum(stage["documents"] for stage in stages)) as keys:
        seen = _Seen(Counter(), Counter(), keys, is_held_out=False)
        for info in training:
            yield from _check_one(folder, info, manifest, seen)
        for source, infos in held.items():
            held_out = _Seen(Counter(), Counter(), keys, is_held_out=True)
            for info in infos:
                yield from _check_one(folder, info, manifest, held_out)
            said, of_source = manifest["validation"][source], f"validation of {source}"
            yield from _differences(of_source, "documents", held_out.num_rows, said["documents"])
            yield from _differences(of_source, "tokens", sum(held_out.tokens.values()), said["tokens"])
        for stage in stages:
            yield from _add_stage(folder, stage, keys)
        yield from keys.faults()
    yield from _check_totals(manifest, seen)


def _add_stage(folder: Path, stage: Mapping[str, Any], keys: _Keys) -> Iterator[str]:
    """Adds the documents of an earlier stage to ``keys``, so that documents that occur in both stages are found.

    Yields a fault if the stage cannot be read. To check the shards of that stage, run the command on the stage's
    folder.
    """
    there = Path(beside(str(folder), stage["path"]))
    try:
        manifest = read_manifest(there)
        if not had_fingerprint(manifest, stage["fingerprint"]):
            raise ValueError(f"{there}: its shards are not those of the stage that {folder} continues")
        check_sizes(LocalStorage(there), infos := shard_infos(manifest))
        for info in infos:
            with pa.memory_map(str(there / info.path)) as mapped:
                for batch in read_batches(pa.ipc.open_file(mapped)):
                    keys.add(batch, is_held_out=False)
    except (ValueError, pa.ArrowException) as error:
        yield f"an earlier stage: {error}"


class _Seen:
    """Holds the numbers of rows and tokens by source that were found in the shards. One object is for all training
    shards, or for all validation shards of one source.
    """

    def __init__(self, rows: Counter[str], tokens: Counter[str], keys: _Keys, *, is_held_out: bool) -> None:
        self.rows, self.tokens, self.keys, self.is_held_out = rows, tokens, keys, is_held_out
        self.unread_rows = 0

    @property
    def num_rows(self) -> int:
        return sum(self.rows.values()) + self.unread_rows

    def take_for_read(self, info: ShardInfo) -> None:
        """Counts an unreadable shard as if it had been read, with the numbers from its manifest entry.

        The shard is already reported as unreadable. So the sums should not be reported as wrong too.
        """
        self.tokens.update(info.sources)
        self.unread_rows += info.rows


def _check_one(folder: Path, info: ShardInfo, manifest: Mapping[str, Any], seen: _Seen) -> Iterator[str]:
    path, storage = folder / info.path, LocalStorage(folder)
    try:
        check_sizes(storage, [info])
        check_shard(storage, info, manifest)
        check_sum(storage, info)
    except ValueError as error:
        yield str(error)
        seen.take_for_read(info)
        return
    vocab_size = manifest["tokenizer"]["vocab_size"]
    rows, tokens, sources = 0, 0, Counter[str]()
    with pa.memory_map(str(path)) as mapped:
        reader = pa.ipc.open_file(mapped)
        for number, batch in enumerate(read_batches(reader)):
            largest = pc.max(batch.column("input_ids").flatten()).as_py()
            if largest is not None and largest >= vocab_size:
                yield f"{path}: id {largest} in batch {number} is not below the vocabulary's {vocab_size}"
            rows += len(batch)
            lengths = pc.list_value_length(batch.column("input_ids")).to_numpy().astype(np.int64)
            tokens += int(lengths.sum())
            source = batch.column("source").dictionary_decode()
            for name in pc.unique(source).to_pylist():
                chosen = pc.equal(source, name).to_numpy(zero_copy_only=False)
                sources[name] += int(lengths[chosen].sum())
                seen.rows[name] += int(chosen.sum())
                seen.tokens[name] += int(lengths[chosen].sum())
            seen.keys.add(batch, is_held_out=seen.is_held_out)
    yield from _differences(str(path), "rows", rows, info.rows)
    yield from _differences(str(path), "tokens", tokens, info.tokens)
    if sources != Counter(info.sources):
        yield f"{path}: tokens by source are {_listed(sources)}, the manifest says {_listed(info.sources)}"


def _check_totals(manifest: Mapping[str, Any], seen: _Seen) -> Iterator[str]:
    yield from _differences("all shards", "tokens", sum(seen.tokens.values()), manifest["tokens"])
    yield from _differences("all shards", "documents", seen.num_rows, manifest["documents"])
    for source in sorted(set(manifest["sources"]) | set(seen.tokens)):
        said = manifest["sources"].get(source, {"tokens": 0, "documents": 0})
        yield from _differences(source, "tokens", seen.tokens[source], said["tokens"])
        if not seen.unread_rows:  # the manifest does not say how many rows each source has in a shard
            yield from _differences(source, "documents", seen.rows[source], said["documents"])


def _check_tokenizer(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    path = folder / tokenizer_name(manifest)
    if not path.is_file():
        yield f"{path} is missing"
    elif (found := _sha256(path)) != manifest["tokenizer"]["sha256"]:
        said = manifest["tokenizer"]["sha256"]
        yield f"{path}: checksum {found[:12]}..., the manifest says {said[:12]}...: the tokenizer of another run?"


def _check_listing(folder: Path, infos: Sequence[ShardInfo]) -> Iterator[str]:
    listed = Counter(info.path for info in infos)
    for path, times in listed.items():
        if times > 1:
            yield f"the manifest lists {path} {times} times"
    for kind in ("shards", "validation"):
        for file in sorted((folder / kind).rglob("*")):
            if file.is_file() and file.relative_to(folder).as_posix() not in listed:
                yield f"{file} is not in the manifest: a shard of another run?"


def _differences(where: str, what: str, found: int, said: int) -> Iterator[str]:
    if found != said:
        yield f"{where}: {found:,} {what}, the manifest says {said:,}"


def _listed(tokens: Mapping[str, int]) -> str:
    """Returns a text that lists the number of tokens of each source.

    >>> _listed({"c4": 1_500, "books": 7})
    'books 7, c4 1,500'
    """
    return ", ".join(f"{source} {n:,}" for source, n in sorted(tokens.items()) if n) or "none"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


class _Keys:
    """Finds documents that occur twice in an epoch. Compares 128-bit hashes of (source, document, epoch)."""

    def __init__(self, num_keys: int) -> None:
        self._num_parts = min(_MAX_FILES, -(-num_keys // _MAX_KEYS) or 1)
        self._folder = tempfile.TemporaryDirectory(prefix="verify-")

    def __enter__(self) -> _Keys:
        self._files = [open(Path(self._folder.name) / str(i), "w+b") for i in range(self._num_parts)]  # noqa: SIM115
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()
        self._folder.cleanup()

    def add(self, batch: pa.RecordBatch, *, is_held_out: bool) -> None:
        """Adds a key for each document of a batch. Held-out documents get epoch 0. So if a held-out document is also in
        the training shards, its key for epoch 0 occurs twice.
        """
        keys = np.empty(len(batch), _KEY)
        source = batch.column("source").dictionary_decode().to_pylist()
        epochs = [0] * len(batch) if is_held_out else batch.column("epoch").to_pylist()
        for i, (name, doc_id, epoch) in enumerate(zip(source, batch.column("doc_id").to_pylist(), epochs, strict=True)):
            whole = source_of(name)  # a stage may have other parts than the one it continues
            digest = xxhash.xxh3_128_intdigest(f"{len(whole)} {whole} {epoch} {doc_id}".encode())
            keys[i] = digest >> 64, digest & (2**64 - 1)
        part = keys["high"] % np.uint64(self._num_parts)
        for number in np.unique(part).tolist():
            self._files[number].write(keys[part == number].tobytes())

    def faults(self) -> Iterator[str]:
        """Yields one line with the number of keys that occur more than once, if there are any."""
        twice = 0
        for file in self._files:
            file.seek(0)
            keys = np.sort(np.frombuffer(file.read(), _KEY))
            twice += int(np.count_nonzero(keys[1:] == keys[:-1]))
        if twice:
            yield f"{twice:,} rows repeat a document within an epoch, or are in the training shards though held out"
