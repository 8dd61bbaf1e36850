"""How long workers were busy with each source and each part of its graph, as the engine measures it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from apache_beam.metrics.monitoring_infos import extract_counter_value

_TOTAL = "beam:metric:ptransform_execution_time:total_msecs:v1"


def stage_seconds(result: Any) -> dict[str, dict[str, float]]:
    """Seconds of work by the first and the second part of the transform's label (a source, what is done), over all
    processes.

    The engine samples what a thread is at five times a second: right over seconds, rough below. Loading a model and
    starting a process are nobody's. Empty for an engine that keeps such figures to itself (Dataflow shows them in its
    own pages).
    """
    if not hasattr(result, "monitoring_infos"):
        return {}
    busy_ms: dict[str, Counter[str]] = {}
    for info in result.monitoring_infos():
        if info.urn == _TOTAL:
            first, _, rest = info.labels.get("PTRANSFORM", "").partition("/")
            source = first.partition("@")[0]  # the dumps of a source together
            busy_ms.setdefault(source, Counter())[rest.partition("/")[0]] += extract_counter_value(info)
    return {
        name: {part: ms / 1000 for part, ms in sorted(parts.items()) if ms}
        for name, parts in sorted(busy_ms.items())
        if any(parts.values())
    }


def worker_seconds(stages: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The same by source.

    >>> worker_seconds({"books": {"read": 1.5, "near_dedup": 0.5}})
    {'books': 2.0}
    """
    return {name: round(sum(parts.values()), 3) for name, parts in stages.items()}
