"""How long workers were busy with each source, as the engine measures it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from apache_beam.metrics.monitoring_infos import extract_counter_value

_TOTAL = "beam:metric:ptransform_execution_time:total_msecs:v1"


def worker_seconds(result: Any) -> dict[str, float]:
    """Seconds of work by the first part of the transform's label (a source's name), over all processes.

    The engine samples what a thread is at five times a second: right over seconds, rough below. Loading a model and
    starting a process are nobody's. Empty for an engine that keeps such figures to itself (Dataflow shows them in its
    own pages).
    """
    if not hasattr(result, "monitoring_infos"):
        return {}
    busy_ms: Counter[str] = Counter()
    for info in result.monitoring_infos():
        label = info.labels.get("PTRANSFORM", "")
        if info.urn == _TOTAL:
            busy_ms[label.split("/")[0]] += extract_counter_value(info)
    return {name: ms / 1000 for name, ms in sorted(busy_ms.items()) if ms}
