"""Computes how long workers were busy with each source, and with each part of the source's Beam graph. The numbers come
from the engine's measurements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from apache_beam.metrics.monitoring_infos import extract_counter_value

_TOTAL = "beam:metric:ptransform_execution_time:total_msecs:v1"


def stage_seconds(result: Any) -> dict[str, dict[str, float]]:
    """Returns how many seconds all processes were busy, by source and by part of the source's graph.

    The engine samples the state of its threads five times per second, so times of less than a few seconds are rough.
    The times do not include loading models and starting processes. The result is empty for an engine that does not
    provide these numbers (Dataflow shows them on its own pages).
    """
    if not hasattr(result, "monitoring_infos"):
        return {}
    busy_ms: dict[str, Counter[str]] = {}
    for info in result.monitoring_infos():
        if info.urn == _TOTAL:
            # A transform's label begins with the names of the source and of the part, for example ``books/read/...``.
            first, _, rest = info.labels.get("PTRANSFORM", "").partition("/")
            source = first.partition("@")[0]  # adds up the dumps of a source
            busy_ms.setdefault(source, Counter())[rest.partition("/")[0]] += extract_counter_value(info)
    return {
        name: {part: ms / 1000 for part, ms in sorted(parts.items()) if ms}
        for name, parts in sorted(busy_ms.items())
        if any(parts.values())
    }


def worker_seconds(stages: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Returns how many seconds all processes were busy with each source.

    >>> worker_seconds({"books": {"read": 1.5, "near_dedup": 0.5}})
    {'books': 2.0}
    """
    return {name: round(sum(parts.values()), 3) for name, parts in stages.items()}
