"""Tests the command on the sample, as a user types it: its results, that a second run gives the same bytes, and that it
resumes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

SOURCES = ("common_crawl", "c4", "github", "wikipedia", "books", "arxiv", "stack_exchange")
WEIGHTS = {
    "common_crawl": 67,
    "c4": 15,
    "github": 4.5,
    "wikipedia": 4.5,
    "books": 4.5,
    "arxiv": 2.5,
    "stack_exchange": 2,
}

pytestmark = pytest.mark.slow


def run(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.run", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, **kwargs)


def manifest_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())


def checksums(out: Path) -> list[str]:
    manifest = manifest_of(out)
    held = [shard for one in manifest["validation"].values() for shard in one["shards"]]
    return [shard["sha256"] for shard in [*manifest["shards"], *held]]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "out"
    done = run("--output", str(out), "--direct_num_workers=1")
    assert done.returncode == 0, done.stderr
    for source in SOURCES:
        assert source in done.stdout
    assert str(out / "report" / "index.html") in done.stdout.replace("\n", "")
    assert "Traceback" not in done.stderr
    return out


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows = []
    for path in sorted((out / "shards").iterdir()):
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
            lengths = [len(ids) for ids in table["input_ids"]]
            columns = (table["source"].to_pylist(), table["doc_id"].to_pylist(), table["epoch"].to_pylist())
            rows += [
                {"shard": path.name, "source": s, "id": i, "epoch": e, "tokens": n}
                for s, i, e, n in zip(*columns, lengths, strict=True)
            ]
    return rows


def test_shares_are_exact_to_the_token(sample: Path) -> None:
    manifest = manifest_of(sample)
    tokens: Counter[str] = Counter()
    for row in rows_of(sample):
        tokens[row["source"]] += row["tokens"]
    total = sum(tokens.values())
    assert set(tokens) == set(SOURCES)
    assert total == manifest["tokens"]
    for source, weight in WEIGHTS.items():
        assert abs(tokens[source] - total * weight / 100) < 1
        assert tokens[source] == manifest["sources"][source]["tokens"]


def test_no_document_stands_twice_in_an_epoch(sample: Path) -> None:
    rows = rows_of(sample)
    assert max(Counter((r["source"], r["id"], r["epoch"]) for r in rows).values()) == 1
    by_source = defaultdict(lambda: defaultdict(set))
    for r in rows:
        by_source[r["source"]][r["epoch"]].add(r["id"])
    for source, line in manifest_of(sample)["sources"].items():
        epochs = by_source[source]
        whole = [epochs[e] for e in sorted(epochs) if e < int(line["epochs"])]
        assert all(ids == whole[0] for ids in whole)
        assert all(len(ids) == line["available_documents"] for ids in whole)


def test_repetitions_have_other_places(sample: Path) -> None:
    order = defaultdict(list)
    for r in rows_of(sample):
        if r["source"] == "wikipedia":
            order[r["epoch"]].append(r["id"])
    assert len(order) >= 3
    assert order[0] != order[1] != order[2]
    assert sorted(order[0]) == sorted(order[1])


def test_every_shard_is_a_fair_sample(sample: Path) -> None:
    """Each source's tokens in a shard are within four standard deviations of what a random choice of its documents
    would give.
    """
    rows = rows_of(sample)
    shards = sorted({r["shard"] for r in rows})
    assert len(shards) > 5
    for source in SOURCES:
        lengths = [r["tokens"] for r in rows if r["source"] == source]
        p = 1 / len(shards)
        sd = (p * (1 - p) * sum(n * n for n in lengths)) ** 0.5
        for shard in shards:
            found = sum(r["tokens"] for r in rows if r["source"] == source and r["shard"] == shard)
            assert abs(found - p * sum(lengths)) <= 4 * sd, (source, shard)


def test_validation_documents_are_not_trained_on(sample: Path) -> None:
    trained = {(r["source"], r["id"]) for r in rows_of(sample)}
    held = 0
    for path in (sample / "validation").iterdir():
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        pairs = set(zip(table["source"].to_pylist(), table["doc_id"].to_pylist(), strict=True))
        held += len(pairs)
        assert not pairs & trained
    assert held == sum(v["documents"] for v in manifest_of(sample)["validation"].values()) > 0


def test_conservation_in_every_source(sample: Path) -> None:
    for source in SOURCES:
        stats = json.loads((sample / "stats" / f"{source}.json").read_text())
        kept = ds.dataset(sample / "clean" / source, format="parquet").to_table()
        dropped = ds.dataset(sample / "dropped" / source, format="parquet").to_table().to_pylist()
        assert stats["documents"]["kept"] == kept.num_rows > 0
        assert len(set(kept["id"].to_pylist())) == kept.num_rows
        assert kept.schema.names[:4] == ["id", "text", "source", "language"]
        assert stats["documents"]["in"] == kept.num_rows + sum(r["stage"] != "records" for r in dropped)
        reasons = Counter(r["reason"] for r in dropped if r["stage"] == "records")
        assert reasons == stats["records"]
        for stage in stats["stages"]:
            assert stage["in"] == stage["kept"] + sum(stage["dropped"].values()), (source, stage["stage"])
        assert stats["tokens"] > 0


def test_the_outputs_tools_agree(sample: Path) -> None:
    verified = subprocess.run([sys.executable, "-m", "mixtures.verify", str(sample)], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    report = (sample / "report" / "index.html").read_text()
    assert all(source in report for source in SOURCES)
    assert "Not all could be read" not in report
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", report)  # opens with no network
    assert (sample / "README.md").read_text().startswith("---\n")


def test_a_second_run_does_nothing_again(sample: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in sample.rglob("*.arrow")}
    done = run("--output", str(sample))
    assert done.returncode == 0, done.stderr
    assert "already complete" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in sample.rglob("*.arrow")} == before


def test_two_workers_give_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    done = run("--output", str(tmp_path / "out"), "--direct_num_workers=2")
    assert done.returncode == 0, done.stderr
    assert checksums(tmp_path / "out") == checksums(sample)


def test_a_killed_run_started_again_gives_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline.run", "--output", str(out), "--direct_num_workers=1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(out.glob(".work/steps/clean-*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(out.glob(".work/steps/clean-*.json"))
    assert not (out / "manifest.json").exists()
    done = run("--output", str(out), "--direct_num_workers=1")
    assert done.returncode == 0, done.stderr
    assert checksums(out) == checksums(sample)
    assert not list(out.glob(".work/spill*/*"))


def test_another_seed_is_another_order_of_the_same_shares(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    subprocess.run(["cp", "-r", str(sample), str(out)], check=True)
    done = run("--output", str(out), "--phase=mix", "--config", "sample", "--seed=1")
    assert done.returncode == 0, done.stderr
    one, two = manifest_of(sample), manifest_of(out)
    assert {s: v["tokens"] for s, v in one["sources"].items()} == {s: v["tokens"] for s, v in two["sources"].items()}
    assert [r["id"] for r in rows_of(sample)] != [r["id"] for r in rows_of(out)]


def test_excluded_documents_are_not_in_the_stream(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    subprocess.run(["cp", "-r", str(sample), str(out)], check=True)
    victim = next(r for r in rows_of(sample) if r["source"] == "wikipedia")["id"]
    (tmp_path / "exclude.txt").write_text(f"# takedown\n{victim}\n")
    done = run("--output", str(out), "--phase=mix", "--config", "sample", "--exclude", str(tmp_path / "exclude.txt"))
    assert done.returncode == 0, done.stderr
    assert victim not in {r["id"] for r in rows_of(out)}
    assert json.loads((out / "stats" / "wikipedia.json").read_text())["excluded_in_mix"] == 1


def test_too_many_tokens_asked_for(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    subprocess.run(["cp", "-r", str(sample), str(out)], check=True)
    done = run("--output", str(out), "--phase=mix", "--config", "sample", "--tokens=1e9")
    assert done.returncode == 2
    assert "tokens fit" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run("--output", str(tmp_path / "file" / "out"))
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
    assert "cannot be written" in done.stderr


def test_an_estimate_writes_nothing(tmp_path: Path) -> None:
    done = run("--estimate", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    for word in (*SOURCES, "tokens", "CPU time", "memory", "shuffle"):
        assert word in done.stdout
    assert not (tmp_path / "out").exists()
