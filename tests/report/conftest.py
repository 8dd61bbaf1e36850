"""Writes the outputs of runs by hand: finished, unfinished and hostile ones."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.clean.batches import DROPPED_SCHEMA, SIGNALS_TYPE
from pipeline.output.fingerprint import recorded
from pipeline.sources import SOURCES

RECORDS = "records"


@dataclass
class Kept:
    id: str
    text: str
    language: str = "en"
    signals: dict[str, float] = field(default_factory=dict)


@dataclass
class Dropped:
    id: str
    stage: str
    reason: str
    detail: str | None = None
    signals: dict[str, float] = field(default_factory=dict)
    text: str | None = None
    language: str | None = None
    url: str | None = None
    title: str | None = None
    date: str | None = None


@dataclass
class Part:
    """Describes a source of a run, for the functions that write the run."""

    kept: Sequence[Kept] = ()
    dropped: Sequence[Dropped] = ()
    records: dict[str, int] = field(default_factory=dict)
    stages: Sequence[str] = ()
    settings: dict[str, dict[str, Any]] | None = None
    cutoffs: dict[str, list[float]] = field(default_factory=dict)
    num_parts: int = 1


def stages_of(name: str, part: Part) -> list[str]:
    if part.stages:
        return list(part.stages)
    return [step.NAME for step in SOURCES[name].steps]


def stats_of(name: str, part: Part) -> dict[str, Any]:
    """Returns the statistics of the described documents, in the pipeline's format."""
    fell = Counter((d.stage, d.reason) for d in part.dropped if d.stage != RECORDS)
    alive = len(part.kept) + fell.total()
    documents = {"in": alive, "kept": len(part.kept), "dropped": fell.total()}
    size = sum(len(k.text.encode()) for k in part.kept)
    rows = []
    for stage in stages_of(name, part):
        dropped = {reason: n for (where, reason), n in sorted(fell.items()) if where == stage}
        row = {"stage": stage, "in": alive, "kept": alive - sum(dropped.values()), "dropped": dropped}
        rows.append({**row, "bytes": {"in": size, "kept": size}})
        alive = row["kept"]
    return {
        "source": name,
        "documents": documents,
        "bytes": {"in": size, "kept": size},
        "stages": rows,
        "records": part.records,
        "bad_records": 0,
        "unreadable_files": 0,
        "tokens": 100 * len(part.kept),
    }


def write_part(root: Path, name: str, part: Part) -> None:
    clean, dropped = root / "clean" / name, root / "dropped" / name
    clean.mkdir(parents=True)
    dropped.mkdir(parents=True)
    schema = pa.schema(
        {
            "id": pa.string(),
            "text": pa.string(),
            "source": pa.string(),
            "language": pa.string(),
            "signals": SIGNALS_TYPE,
        }
    )
    for number in range(part.num_parts):
        kept = part.kept[number :: part.num_parts]
        rows = [{**k.__dict__, "source": name, "signals": list(k.signals.items())} for k in kept]
        file = f"part-{number:05d}-of-{part.num_parts:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema), clean / file, write_page_checksum=True)
        fell = part.dropped[number :: part.num_parts]
        rows = [{**d.__dict__, "source": name, "signals": list(d.signals.items())} for d in fell]
        if number == 0:
            rows += [
                {"id": f"place {n}", "source": name, "stage": RECORDS, "reason": reason, "signals": []}
                for reason, count in part.records.items()
                for n in range(count)
            ]
        pq.write_table(pa.Table.from_pylist(rows, DROPPED_SCHEMA), dropped / file, write_page_checksum=True)
    (root / "stats").mkdir(exist_ok=True)
    (root / "stats" / f"{name}.json").write_text(json.dumps(stats_of(name, part)))
    marker = {"fingerprint": "x", "num_parts": part.num_parts, "about": about_of(name, part)}
    path = root / ".work" / "steps" / f"clean-{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(marker))


def about_of(name: str, part: Part) -> dict[str, Any]:
    about: dict[str, Any] = {"inputs": {"files": 1, "bytes": 1000, "fingerprint": "f" * 64}, "cutoffs": part.cutoffs}
    if name in SOURCES:
        source = SOURCES[name]
        steps = {s.NAME: {**recorded(s), **(part.settings or {}).get(s.NAME, {})} for s in source.steps}
        about["settings"] = {
            "reader": recorded(source.reader),
            "join": recorded(source.join),
            "steps": steps,
        }
    return about


def manifest_of(parts: dict[str, Part]) -> dict[str, Any]:
    weight = 100 / len(parts)
    tokens = {name: 100 * len(part.kept) for name, part in parts.items()}
    total = sum(tokens.values())
    line = {"path": "shards/train-00000-of-00001.arrow", "rows": 1, "tokens": total, "bytes": 1, "sha256": "0" * 64}
    return {
        "format": 1,
        "recipe": "llama",
        "seed": 0,
        "created": "2026-01-02T03:04:05+00:00",
        "software": {"python": "3.11"},
        "tokenizer": {"path": "tokenizer.model", "sha256": "a" * 64, "vocab_size": 300, "bos_id": 1, "eos_id": 2},
        "models": {},
        "tokens": total,
        "documents": sum(len(p.kept) for p in parts.values()),
        "sources": {
            name: {
                "weight": weight,
                "share": 100 * n / max(1, total),
                "tokens": n,
                "documents": len(parts[name].kept),
                "available_tokens": n,
                "available_documents": len(parts[name].kept),
                "epochs": 1.0,
                "cut_document": None,
            }
            for name, n in tokens.items()
        },
        "validation": {},
        "shards": [{**line, "sources": tokens}],
        "inputs": {name: about_of(name, part)["inputs"] for name, part in parts.items()},
    }


def write_run(root: Path, parts: dict[str, Part], *, is_finished: bool = True) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        write_part(root, name, part)
    record = {"finished": is_finished, "phase": "all", "recipe": "llama", "settings": {"sources": list(parts)}}
    (root / ".work" / "run.json").write_text(json.dumps(record))
    if is_finished:
        (root / "manifest.json").write_text(json.dumps(manifest_of(parts)))
    return root


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes a run into a new folder."""

    def make(parts: dict[str, Part], name: str = "out", **more: Any) -> Path:
        return write_run(tmp_path / name, parts, **more)

    return make


def web_pages(number: int = 6) -> Part:
    """Returns CommonCrawl pages near the limits: some are kept, some are too short, and some have a bad perplexity."""
    kept = [
        Kept(f"k{n}", f"Kept page number {n}, which says a thing or two.", "en", page_signals(n, 400.0 + n))
        for n in range(number)
    ]
    short = [
        Dropped(f"s{n}", "min_length", "too_short", str(200 + n), {"num_chars": 200.0 + n}, f"Short page {n}.")
        for n in range(number)
    ]
    tail = [
        Dropped(f"t{n}", "perplexity", "tail_perplexity", f"{p}.0", page_signals(n, float(p)), f"Odd page {n}.", "en")
        for n, p in enumerate(range(600, 600 + number))
    ]
    foreign = {"num_chars": 900.0, "language_score": 0.99}
    german = [Dropped(f"d{n}", "language", "other_language", "de 0.99", foreign, "Deutsch.", "de") for n in range(2)]
    cutoffs = {"en": [340.0, 520.0]}
    return Part(kept, [*short, *tail, *german], {"truncated_gzip": 1, "not_html": 2}, cutoffs=cutoffs)


def page_signals(number: int, perplexity: float) -> dict[str, float]:
    return {
        "num_chars": 1000.0 + number,
        "duplicate_lines": float(number),
        "num_chars_after_dedup": 900.0 + number,
        "language_score": 0.9,
        "perplexity": perplexity,
        "reference_score": 0.6 + number / 100,
    }


@pytest.fixture
def pages() -> Part:
    return web_pages()


@pytest.fixture(scope="session")
def describe() -> dict[str, Any]:
    """Returns the classes with which tests describe a run, because test modules do not import each other."""
    return {"Kept": Kept, "Dropped": Dropped, "Part": Part, "stats_of": stats_of}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Starts a headless Chromium without a network. If it is missing, tests are skipped, or fail if NEED_BROWSER is set
    (``make test-browser``).
    """
    lacking = pytest.fail if os.environ.get("NEED_BROWSER") else pytest.skip
    if find_spec("playwright") is None:
        lacking("playwright is not installed: no browser to look with")
    sync_api = import_module("playwright.sync_api")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        lacking("chromium is not installed: no browser to look with")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()
