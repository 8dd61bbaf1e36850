"""Tests shards in two kinds of stores on this machine: s3fs reads from moto's server, and gcsfs from a fake store of
this project.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("s3fs", reason="make test-train installs it")
pytest.importorskip("gcsfs", reason="make test-train installs it")

from mixtures.loader import Loader, LoaderSettings
from mixtures.stream import TokenStream

pytestmark = pytest.mark.train
SETTINGS = LoaderSettings(seq_len=128, batch_size=2, window_sequences=200, epochs=2)
BUCKET = "shards"


class Store:
    """Holds the URL of an output in a store, and the requests that the store got."""

    def __init__(self, url: str, requests: list[str]) -> None:
        self.url, self._requests = url, requests

    def num_fetched(self) -> int:
        """Returns the number of requests for the content of training shards."""
        return sum("GET" in r and "train-0" in r for r in self._requests)


@pytest.fixture
def s3(output: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, requests = f"http://127.0.0.1:{port}", []
    for name, value in {
        "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url, "FSSPEC_S3_ENDPOINT_URL": url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    client = boto3.client("s3", endpoint_url=url)
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(p for p in output.rglob("*") if p.is_file()):
        client.upload_file(str(path), BUCKET, f"runs/out/{path.relative_to(output)}")
    plain = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **more: Any) -> Any:
        requests.append(f"GET {more}" if method == "get_object" else method)
        return await plain(self, method, *args, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    s3fs.S3FileSystem.clear_instance_cache()
    yield Store(f"s3://{BUCKET}/runs/out", requests)
    server.stop()


@pytest.fixture
def gs(output: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    import gcsfs

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "cloud"))
    from fake_google import Google, serve

    google = Google()
    server = serve(google)
    google.upload_tree(output, BUCKET, "runs/out")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google.url)
    monkeypatch.setenv("FSSPEC_GS_TOKEN", "anon")
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield Store(f"gs://{BUCKET}/runs/out", google.requests)
    server.shutdown()


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


def sequences(stream: TokenStream) -> list[tuple[int, bytes]]:
    rows = (zip(batch.sequences.tolist(), batch.input_ids, strict=True) for batch in Loader(stream, SETTINGS))
    return [(n, row.tobytes()) for batch in rows for n, row in batch]


def test_the_same_batches_as_from_a_disk_in_bounded_space(output: Path, store: Store, tmp_path: Path) -> None:
    whole, cache = sequences(TokenStream(output)), tmp_path / "cache"
    cache.mkdir()
    large = TokenStream(store.url, cache_dir=cache)
    assert store.num_fetched() == 0, "nothing is fetched before it is wanted"
    assert sequences(large) == whole
    assert store.num_fetched() == 5, "in a cache that holds all of them each shard is fetched once in two epochs"
    largest = max((output / info["path"]).stat().st_size for info in large.manifest["shards"])
    small = TokenStream(store.url, cache_dir=cache, cache_bytes=largest)
    assert sequences(small) == whole
    assert len(small._open) == 1
    assert store.num_fetched() > 10, "in a small one they come again"
    for stream in (large, small):
        stream.storage.forget_ahead("")  # type: ignore[attr-defined]
        stream.storage._here.pool.shutdown()  # type: ignore[attr-defined]
    assert os.listdir(cache) == []


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_of_a_dataloader_open_the_store_themselves(output: Path, store: Store, num_workers: int) -> None:
    pytest.importorskip("torch", reason="make test-train installs it")
    from torch.utils.data import DataLoader

    from mixtures.torch_dataset import PackedSequences

    wanted = [n for batch in Loader(TokenStream(output), SETTINGS) for n in batch.sequences.tolist()]
    data = PackedSequences(TokenStream(store.url), SETTINGS)
    assert next(iter(Loader(data.stream, SETTINGS))).sequences.tolist() == wanted[:2]  # the store is open before
    loader = DataLoader(data, batch_size=None, num_workers=num_workers, timeout=60)
    assert [n for batch in loader for n in batch["sequences"].tolist()] == wanted


def test_what_is_not_there_is_said(store: Store) -> None:
    bucket, _, _ = store.url.rpartition("/runs/out")
    with pytest.raises(ValueError, match=r"/nowhere/manifest\.json is not there: this is no output"):
        TokenStream(f"{bucket}/nowhere")
    with pytest.raises(ValueError, match=r"manifest\.json"):
        TokenStream(f"{bucket}-of-nobody/out")


def test_a_server_that_answers_no_more_is_one_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TokenStream(store.url)
    monkeypatch.setattr(type(stream.storage._fs), "_open", broken)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"train-00000-of-00005\.arrow: Connection reset by peer \(manifest line"):
        stream.open(0)


def broken(*_: object, **__: object) -> None:
    raise ConnectionResetError("Connection reset by peer")
