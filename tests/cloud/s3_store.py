"""An S3 store on loopback, played by moto."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rehearsal import shard_sums

BUCKET = "rehearsal"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
"""The variables from which boto3 takes the credentials. moto accepts any."""


@dataclass(frozen=True)
class Store:
    """A bucket on loopback."""

    url: str
    client: Any

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def put_folder(self, folder: Path, prefix: str) -> None:
        """Uploads all files of a folder."""
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())

    def get(self, key: str) -> bytes:
        found: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return found

    def assert_finished(self, output: str, sums: object) -> None:
        """Fails if the output has other shards than ``sums`` says, or if temporary files are left."""
        assert shard_sums(json.loads(self.get(f"{output}/manifest.json"))) == sums
        left = self.names(f"{output}/")
        assert not [name for name in left if name.endswith(".tmp") or "/spill" in name or "/probe-" in name]
        assert self.names("temp/") == []

    def names(self, prefix: str) -> list[str]:
        return [o["Key"] for o in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def started_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Starts a store with an empty bucket, yields it, and ends it. Sets the variables of the credentials."""
    moto = pytest.importorskip("moto.server", reason="moto[s3] and flask are not installed")
    boto3 = pytest.importorskip("boto3", reason="apache-beam[aws] is not installed")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        url = f"http://127.0.0.1:{port}"
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket=BUCKET)
        yield Store(url, client)
    finally:
        server.stop()
