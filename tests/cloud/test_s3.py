"""Tests a run whose input, models and output are in an s3:// store, which moto plays. Also tests dumps that published
lists name.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsal import LOADED, Checkout, shard_sums, small_config
from s3_store import Store, started_store
from service import job_service

pytestmark = [pytest.mark.slow, pytest.mark.cloud, pytest.mark.timeout(600)]

DUMPS = ("CC-MAIN-2018-05", "CC-MAIN-2019-09")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    yield from started_store(monkeypatch)


@pytest.mark.parametrize("engine", ["local", "job service"])
def test_everything_on_s3(
    checkout: Checkout, models: Path, small_run: Path, store: Store, engine: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With the job service, files with groups are on s3:// too. So the workers must know the address of the store."""
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    store.put_folder(checkout.work / "input", "input")
    store.put_folder(models, "models")
    with contextlib.ExitStack() as stack:
        flags = ["--direct_num_workers=2"]
        if engine == "job service":
            flags = stack.enter_context(job_service(checkout, tmp_path / "services.log"))
            flags.append("--temp_location=s3://rehearsal/temp")
        done = checkout.run(
            *flags, "--config", small_config(checkout), "--models", "s3://rehearsal/models",
            "--output", "s3://rehearsal/out", f"--s3_endpoint_url={store.url}",
            *checkout.input_flags("s3://rehearsal/input", LOADED),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    store.assert_finished("out", shard_sums(json.loads((small_run / "manifest.json").read_text())))
    assert any(name.endswith("report/index.html") for name in store.names("out/"))


def wet(dump: str) -> bytes:
    """Returns a WET file with ten pages. Five of them are equal in every dump."""
    out = []
    for number in range(10):
        words = " ".join(
            hashlib.md5(f"{dump if number % 2 else ''} {number} {n}".encode()).hexdigest() for n in range(20)
        )
        block = f"Title\n{words}\n".encode()
        head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://{number}.example/\r\n"
        head += f"WARC-Block-Digest: sha1:{hashlib.sha1(block).hexdigest()}\r\n"
        head += f"WARC-Record-ID: <urn:uuid:{dump}-{number}>\r\nContent-Length: {len(block)}\r\n\r\n"
        out.append(gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0))
    return b"".join(out)


def test_dumps_that_lists_name(checkout: Checkout, store: Store) -> None:
    """Published lists work with the store's prefix. A second run adds a dump to the output of the first run."""
    for dump in DUMPS:
        name = f"crawl-data/{dump}/segments/1/wet/0.warc.wet.gz"
        store.put(name, wet(dump))
        store.put(f"crawl-data/{dump}/wet.paths.gz", gzip.compress(f"{name}\n".encode(), mtime=0))
    config = checkout.work / "dumps.yaml"
    off = {"language": False, "perplexity": False, "reference": False}
    config.write_text(json.dumps({"sources": {"common_crawl": off}}))

    def run(*dumps: str) -> str:
        done = checkout.run(
            "--config", str(config), "--phase=clean", "--output", "s3://rehearsal/dumps", "--direct_num_workers=1",
            f"--s3_endpoint_url={store.url}",
            *(f"--input=common_crawl=s3://rehearsal/crawl-data/{dump}/wet.paths.gz@s3://rehearsal" for dump in dumps),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr

    run(DUMPS[0])
    (first,) = store.names("dumps/clean/")
    before = store.get(first)
    assert "common_crawl@CC-MAIN-2018-05 already complete" in run(*DUMPS)
    parts = [f"dumps/clean/common_crawl/part-0000{n}-of-00002.parquet" for n in range(2)]
    assert store.names("dumps/clean/") == parts
    assert store.get(parts[0]) == before
    stats = json.loads(store.get("dumps/stats/common_crawl.json"))
    assert stats["documents"] == {"in": 20, "kept": 15, "dropped": 5}
    assert {s["stage"]: s["dropped"] for s in stats["stages"]}["duplicate_digest"] == {"duplicate_digest": 5}
