"""Writes ``.work/run.json``. This file describes a run for the report: its settings, times and memory.

At the beginning of a run, the record is written and marked as not finished. At the end of the run, it is written again.
The measured times are only for the report and the closing table, so they never affect the run's documents.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.engine.runner import Engine
from pipeline.files.files import exists, join, read_bytes, write_bytes
from pipeline.output.paths import Layout
from pipeline.progress.ticks import STEP_MARK, Totals
from pipeline.progress.worker_time import worker_seconds
from pipeline.settings.settings import Settings

JOBS = ("clean", "tokenize", "count", "mix")
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(slots=True)
class Measured:
    """Holds the times that were measured in a run so far."""

    jobs: dict[str, float] = field(default_factory=dict)
    """The wall-clock seconds of each job that ran."""
    stages: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """The seconds for which workers were busy, summed over all workers. The keys are the job, the source, and the part
    of the source's graph (such as ``read``)."""


def record_path(layout: Layout) -> str:
    return join(layout.work, "run.json")


def read_record(layout: Layout) -> dict[str, Any]:
    """Returns the record of the last run; empty if there is none or if it cannot be read."""
    path = record_path(layout)
    try:
        record = json.loads(read_bytes(path)) if exists(path) else {}
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def begin_record(settings: Settings, layout: Layout, engine: Engine) -> dict[str, Any]:
    """Writes the record with the settings of the run, before any work starts. Returns the last run's record."""
    before = read_record(layout)
    record: dict[str, Any] = {
        "finished": False,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "recipe": settings.recipe.name,
        "phase": settings.phase,
        "settings": settings_said(settings),
        "engine": {"name": engine.name, "num_workers": engine.num_workers},
        # Keeps the recorded times of stages that are not run again.
        **{key: before[key] for key in ("worker_seconds", "stage_seconds", "steps", "input_bytes") if key in before},
    }
    _write(layout, record)
    return before


def restore_record(layout: Layout, before: Mapping[str, Any]) -> None:
    """Writes the record of the last run again. Call this if a new run stops with an error before it changes the output.

    The output is then still that of the last run. But :func:`begin_record` has replaced the record by a new one, which
    is marked as not finished. So without this call, the report would say that the last run did not finish.

    Args:
        before: the record of the last run, which :func:`begin_record` returned.
    """
    if before:
        _write(layout, before)


def finish_record(layout: Layout, input_bytes: Mapping[str, int], measured: Measured, totals: Totals, *,
                  seconds: float) -> None:  # fmt: skip
    """Adds the measurements to the record that :func:`begin_record` wrote."""
    record = read_record(layout)
    stages = record.get("stage_seconds", {})
    busy = record.get("worker_seconds", {})
    record |= {
        "finished": True,
        "seconds": round(seconds, 2),
        "jobs": {name: round(s, 2) for name, s in measured.jobs.items()},
        "stage_seconds": {job: stages.get(job, {}) | measured.stages.get(job, {}) for job in JOBS},
        "worker_seconds": {job: busy.get(job, {}) | worker_seconds(measured.stages.get(job, {})) for job in JOBS},
        "steps": record.get("steps", {}) | _steps(totals),
        "memory": {"driver_peak_bytes": _peak_bytes(), "worker_peak_bytes": _worker_peaks(totals)},
        "input_bytes": record.get("input_bytes", {}) | dict(input_bytes),
    }
    _write(layout, record)


def settings_said(settings: Settings) -> dict[str, Any]:
    """Returns the settings of a run as JSON values.

    The engine's options are left out, because they may contain secrets.
    """
    return {
        "recipe": dataclasses.asdict(settings.recipe),
        "inputs": {name: list(globs) for name, globs in settings.inputs.items()},
        "sources": list(settings.sources),
        "models": settings.models,
        "tokenizer": settings.tokenizer,
        "tokens": settings.num_tokens,
        "phase": settings.phase,
        "clean_from": settings.clean_from,
        "continue_from": settings.continue_from,
        "reuse": settings.reuse,
        "seed": settings.seed,
        "fraction": settings.fraction,
        "exclude": settings.exclude,
        "run": dataclasses.asdict(settings.limits),
        "dedup": dataclasses.asdict(settings.ceilings) | dataclasses.asdict(settings.across),
    }


def _steps(totals: Totals) -> dict[str, dict[str, dict[str, float]]]:
    """Returns three numbers for each step of each source: the documents and bytes that the step got, and the seconds
    that it took, summed over all workers.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for label, counts in totals.stages.items():
        source, mark, step = label.partition(STEP_MARK)
        if mark:
            found.setdefault(source, {})[step] = {
                "documents": counts["documents"],
                "num_bytes": counts["num_bytes"],
                "busy_s": round(counts["busy_us"] / 1e6, 3),
            }
    return found


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES


def _worker_peaks(totals: Totals) -> list[int]:
    """Returns the peak memory of each worker process in bytes, largest first.

    The list is empty for a run in a single process.
    """
    peaks = {pid: peak for pid, peak in totals.peak_bytes.items() if pid != str(os.getpid())}
    return sorted(peaks.values(), reverse=True)


def _write(layout: Layout, record: Mapping[str, Any]) -> None:
    write_bytes(record_path(layout), json.dumps(record, indent=1, default=str, ensure_ascii=False).encode())
