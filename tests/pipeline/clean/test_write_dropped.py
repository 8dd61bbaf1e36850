"""Tests runs in which only a share of the dropped documents gets a row. Counts and the sample are complete, and each
run writes the same rows.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from toy import TOY, job_of, run_job, table, with_sizes, write_inputs

from pipeline.clean.ledger import sample_hash
from pipeline.settings.settings import parse


def documents(number: int) -> list[dict[str, Any]]:
    """Returns documents. Every third one contains the word for which the toy source drops a document."""
    return [
        {
            "id": f"d{i}",
            "text": f"{chr(97 + i // 26)}{chr(97 + i % 26)} {'spam' if i % 3 == 0 else 'ham'}",
            "url": f"u{i}",
        }
        for i in range(number)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("share")
    write_inputs(folder / "in", documents(300), 3)
    job = job_of(TOY, folder / "in", folder / "all")
    stats = run_job(job)
    return folder, table(job.places.dropped_dir), stats


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_rows_are_a_share_and_the_sample(share: float, whole: Any) -> None:
    folder, rows, stats = whole
    assert len(rows) == stats["documents"]["dropped"] >= 90
    job = with_sizes(job_of(TOY, folder / "in", folder / f"share{share}"), dropped_share=share)
    assert run_job(job) == stats
    found = table(job.places.dropped_dir)
    expected = [r for r in rows if r["text"] is not None or sample_hash(r["id"]) < share * 2**64]
    assert [r["id"] for r in found] == [r["id"] for r in expected]
    texts = Counter((r["stage"], r["reason"]) for r in found if r["text"] is not None)
    assert texts
    assert set(texts.values()) <= {1, 2}, "the sample is of two documents"
    assert len(found) < len(rows) / 2


def test_it_is_a_setting(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"recipe": "sample", "run": {"dropped_share": 0}}))
    assert parse(["--config", str(config)]).limits.dropped_share == 0
