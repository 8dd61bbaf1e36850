"""Runs of the real engines whose input, models, output and groups are on an S3 store."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flink import Flink
from rehearsal import LOADED, Checkout, shard_sums, small_config
from s3_store import CREDENTIALS, Store, started_store
from spark import Spark
from started import process_workers

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(1200)]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    yield from started_store(monkeypatch)


def assert_everything_on_s3(
    cluster: Spark | Flink, checkout: Checkout, models: Path, small_run: Path, store: Store, tmp_path: Path
) -> None:
    """Runs two sources. The workers get the credentials from the boot program, and the store's address from the run."""
    store.put_folder(checkout.work / "input", "input")
    store.put_folder(models, "models")
    workers = process_workers(
        tmp_path, sys.executable, checkout.root, {**CREDENTIALS, "MODEL_CACHE_DIR": str(tmp_path / "cache")}
    )
    done = checkout.run(
        *cluster.flags, *workers, "--config", small_config(checkout), "--models", "s3://rehearsal/models",
        "--output", "s3://rehearsal/out", "--temp_location=s3://rehearsal/temp", f"--s3_endpoint_url={store.url}",
        *checkout.input_flags("s3://rehearsal/input", LOADED), timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    store.assert_finished("out", shard_sums(json.loads((small_run / "manifest.json").read_text())))


def test_everything_on_s3_with_spark(
    spark: Spark, checkout: Checkout, models: Path, small_run: Path, store: Store, tmp_path: Path
) -> None:
    assert_everything_on_s3(spark, checkout, models, small_run, store, tmp_path)
    assert spark.hosts() == {"127.0.0.2", "127.0.0.3"}


def test_everything_on_s3_with_flink(
    flink: Flink, checkout: Checkout, models: Path, small_run: Path, store: Store, tmp_path: Path
) -> None:
    assert_everything_on_s3(flink, checkout, models, small_run, store, tmp_path)
