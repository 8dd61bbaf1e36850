"""Tests shards in a store: the batches are the same as from a disk, the space is limited, and a message names each
fault.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from mixtures.loader import Loader, LoaderSettings
from mixtures.manifest import shard_infos
from mixtures.shards import ShardInfo
from mixtures.storage import RemoteStorage
from mixtures.stream import TokenStream


@pytest.fixture
def remote(output: Path) -> Iterator[str]:
    """Copies the output to fsspec's store in memory. Yields its URL."""
    store, root = fsspec.filesystem("memory"), f"/{uuid.uuid4().hex}"
    store.put(str(output), root, recursive=True)
    yield f"memory://{root}"
    store.rm(root, recursive=True)


def sequences(stream: TokenStream, **changed: int) -> list[tuple[int, bytes]]:
    made = LoaderSettings(**{"seq_len": 128, "batch_size": 2, "window_sequences": 200, "epochs": 2, **changed})
    found = []
    for batch in Loader(stream, made):
        found += [(n, row.tobytes()) for n, row in zip(batch.sequences.tolist(), batch.input_ids, strict=True)]
    return found


def test_the_same_batches_as_from_a_disk(output: Path, remote: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    stream = TokenStream(remote, cache_dir=cache, cache_bytes=1)
    assert sequences(stream) == sequences(TokenStream(output)) != []
    assert isinstance(stream.storage, RemoteStorage)
    stream.storage.forget_ahead("")
    stream.storage._here.pool.shutdown()
    assert os.listdir(cache) == []


def test_no_more_shards_are_mapped_than_the_cache_holds(output: Path, remote: str) -> None:
    sizes = [shard.stat().st_size for shard in sorted((output / "shards").iterdir())]
    for cache_bytes, most in ((1, 1), (2 * max(sizes), 3), (10**9, 5)):
        stream = TokenStream(remote, cache_bytes=cache_bytes)
        largest = 0
        for _ in Loader(stream, LoaderSettings(seq_len=128, batch_size=2, window_sequences=50)):
            largest = max(largest, len(stream._open))
        assert 1 <= largest <= most
        assert cache_bytes < 10**9 or largest == 5


def test_windows_are_the_default(remote: str, output: Path) -> None:
    settings = LoaderSettings(seq_len=128, batch_size=2)
    assert Loader(remote, settings).state_dict()["window_sequences"] == 0  # smaller than one window
    assert "window_sequences" in Loader(output, settings).state_dict()


def test_a_shard_that_is_missing_or_cut_is_named_before_training(remote: str) -> None:
    store, root = fsspec.filesystem("memory"), remote.removeprefix("memory://")
    name = f"{root}/shards/train-00003-of-00005.arrow"
    whole = store.cat_file(name)
    store.pipe_file(name, whole[:-1])
    with pytest.raises(ValueError, match=r"train-00003-of-00005\.arrow has .* bytes \(manifest line: [\d,]+ rows, "):
        TokenStream(remote)
    store.rm_file(name)
    with pytest.raises(ValueError, match=r"train-00003-of-00005\.arrow is missing \(manifest line:"):
        TokenStream(remote)


def test_a_shard_that_changed_is_named_when_it_comes(remote: str) -> None:
    store, root = fsspec.filesystem("memory"), remote.removeprefix("memory://")
    name = f"{root}/shards/train-00000-of-00005.arrow"
    data = bytearray(store.cat_file(name))
    data[len(data) // 2] ^= 1
    store.pipe_file(name, bytes(data))
    stream = TokenStream(remote)
    with pytest.raises(ValueError, match=r"train-00000-of-00005\.arrow came with .* checksum"):
        stream.open(0)


def test_a_fork_waits_for_what_is_on_its_way(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a process forks while one of its threads holds a lock, the lock stays locked in the child forever."""
    stream, lock, fetch = TokenStream(remote), threading.Lock(), RemoteStorage._fetch
    assert isinstance(stream.storage, RemoteStorage)

    def slow(self: RemoteStorage, info: ShardInfo) -> str:
        with lock:
            time.sleep(0.5)
            return fetch(self, info)

    monkeypatch.setattr(RemoteStorage, "_fetch", slow)
    stream.storage.fetch_ahead(shard_infos(stream.manifest)[1])
    while not lock.locked():
        time.sleep(0.001)

    def child() -> None:
        os._exit(0 if lock.acquire(timeout=5) else 1)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    stream.storage.forget_ahead("")


def test_what_cannot_be_opened_is_said() -> None:
    with pytest.raises(ValueError, match=r"memory://nowhere/manifest\.json is not there"):
        TokenStream("memory://nowhere")
    with pytest.raises(ValueError, match="odd://x cannot be read"):
        TokenStream("odd://x")
