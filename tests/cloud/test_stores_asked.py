"""Tests that credentials and buckets are checked before anything is listed, built or sent. Each fault gives one
line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rehearsal import BUCKET

pytestmark = [pytest.mark.cloud, pytest.mark.slow, pytest.mark.timeout(120)]

FLAGS = [
    "--runner=DataflowRunner", "--project=my-project", "--region=us-central1", f"--temp_location=gs://{BUCKET}/temp",
    "--worker_machine_type=n2-highmem-8", "--disk_size_gb=100", "--sdk_container_image=a.b/c/mixture:1-py3.11",
    f"--input=books=gs://{BUCKET}/books/*.txt", "--phase=clean",
]  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], *flags: str) -> list[str]:
    from pipeline import run

    assert run.main([*FLAGS, *flags]) == 2
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]


def test_buckets_that_are_not_there(google: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "--output=gs://elsewhere/out", "--models=gs://nowhere/models")
    assert found == [
        "error: stores: --output: there is no bucket gs://elsewhere; create it, or check its name",
        "error: stores: --models: there is no bucket gs://nowhere; create it, or check its name",
    ]
    assert not google.jobs


def test_credentials_that_are_not_accepted(google: Any, capsys: pytest.CaptureFixture[str]) -> None:
    google.refuses = True
    found = told(capsys, f"--output=gs://{BUCKET}/out")
    assert len(found) == 1
    assert "credentials" in found[0]
    assert "gcloud auth application-default login" in found[0]
    assert not google.jobs


def test_no_credentials(
    google: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
    (found,) = told(capsys, f"--output=gs://{BUCKET}/out")
    assert found.startswith("error: there are no Google credentials here (")
    assert "gcloud auth application-default login" in found


def test_an_input_and_a_model_that_are_not_there(google: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = told(capsys, f"--output=gs://{BUCKET}/out")
    assert found.startswith(f"error: books: nothing matches 'gs://{BUCKET}/books/*.txt'")
    google.put(BUCKET, "books/1.txt", b"x")
    (found,) = told(capsys, f"--output=gs://{BUCKET}/out", f"--models=gs://{BUCKET}/models")
    assert found.startswith(f"error: --models gs://{BUCKET}/models: there is no such folder")
    assert not google.jobs
