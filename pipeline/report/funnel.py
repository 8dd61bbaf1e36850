"""Computes the funnel of a source: a chart with one bar per stage. It shows how many documents each stage kept, and how
many it dropped for each reason.

The full width of every bar stands for all documents that were read. So a bar has three parts: the documents that
remain, the documents that this stage dropped, and an empty part for the documents that earlier stages dropped. The page
draws a bar as elements whose width is a percentage. Such bars fit any screen, can be printed, and have text that can be
read aloud.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pipeline.report.charts import short_bytes
from pipeline.report.documents import count_rows
from pipeline.report.explained import can_drop, explain_stage, limits_by_reason, reason_sentence
from pipeline.report.output_state import RunState, SourceState
from tokenizer.numbers import counted

NUM_SHADES = 5
"""A bar has one part for each drop reason. This is the number of different shades of these parts. Neighbouring parts
always have different shades."""

_NUM_NAMED = 4
"""The overview names at most this many drop reasons of a source: those that dropped the most documents."""


def funnel(
    state: RunState, source: SourceState, not_applied: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any] | None:
    """Returns the numbers of documents and bytes of each stage, and the results of checks that these numbers add up.
    Returns None if there are no statistics.

    ``not_applied`` has the stages that judged no document, with the reason
    (:func:`pipeline.report.judged.not_applied`).
    """
    stats = source.stats
    if stats is None:
        return None
    num_read = stats["documents"]["in"]
    return {
        "read": num_read,
        "kept": stats["documents"]["kept"],
        "bytes_in": short_bytes(stats["bytes"]["in"]),
        "bytes_kept": short_bytes(stats["bytes"]["kept"]),
        "bytes_share": _percent(stats["bytes"]["kept"], stats["bytes"]["in"]),
        "rows": [_row(source, row, num_read, not_applied) for row in stats["stages"]],
        "checks": _checks(state, source, stats),
    }


def overview(sources: Sequence[SourceState]) -> list[dict[str, Any]]:
    """Returns one bar per source. The bar shows the share of documents that was kept, and the shares that were lost, by
    stage and reason.
    """
    bars = []
    for number, source in enumerate(sources):
        if source.stats is None:
            continue
        num_read, kept = source.stats["documents"]["in"], source.stats["documents"]["kept"]
        lost = [(stage["stage"], *one) for stage in source.stats["stages"] for one in _by_number(stage["dropped"])]
        parts = [
            _part(f"{stage}: {reason}", count, num_read, place) for place, (stage, reason, count) in enumerate(lost)
        ]
        most = sorted(parts, key=lambda part: -part["count"])[:_NUM_NAMED]
        bars.append(
            {
                "name": source.name,
                "anchor": f"source-{number}",
                "read": num_read,
                "kept": kept,
                "kept_share": _percent(kept, num_read),
                "bytes_in": short_bytes(source.stats["bytes"]["in"]),
                "bytes_kept": short_bytes(source.stats["bytes"]["kept"]),
                "parts": parts,
                "most": most,
                "num_more": len(parts) - len(most),
            }
        )
    return bars


def _row(source: SourceState, row: Mapping[str, Any], num_read: int, not_applied: Mapping[str, str]) -> dict[str, Any]:
    explained = explain_stage(source, row["stage"])
    limits = limits_by_reason(source)
    lost = sum(row["dropped"].values())
    bytes_in, bytes_kept = row["bytes"].get("in", 0), row["bytes"].get("kept", 0)
    return {
        "stage": row["stage"],
        "explained": explained,
        "in": row["in"],
        "kept": row["kept"],
        "lost": lost,
        "not_applied": "" if lost else not_applied.get(row["stage"], ""),
        "is_idle": not lost and bool(row["in"]) and can_drop(source, row["stage"]),
        "share": _percent(row["kept"], row["in"]),
        "kept_width": _percent(row["kept"], num_read) or 0.0,
        "bytes_in": short_bytes(bytes_in),
        "bytes_kept": short_bytes(bytes_kept),
        "bytes_lost": short_bytes(bytes_in - bytes_kept) if bytes_in > bytes_kept else "",
        "lines": row.get("lines"),
        "parts": [
            {
                **_part(reason, count, num_read, place),
                "sentence": reason_sentence(reason, limits.get((row["stage"], reason), ())),
            }
            for place, (reason, count) in enumerate(_by_number(row["dropped"]))
        ],
        "noted": {what: count for what, count in row.get("noted", {}).items() if count},
        "is_right": row["in"] == row["kept"] + lost,
    }


def _by_number(dropped: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(((reason, count) for reason, count in dropped.items() if count), key=lambda one: (-one[1], one[0]))


def _part(name: str, count: int, num_read: int, place: int) -> dict[str, Any]:
    share = _percent(count, num_read) or 0.0
    return {"name": name, "count": count, "share": share, "shade": place % NUM_SHADES}


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _checks(state: RunState, source: SourceState, stats: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Checks that every document is counted, and returns the results. The checks compare the numbers within each stage,
    between stages, and with the rows in the output files.
    """
    documents, stages = stats["documents"], stats["stages"]
    kept = documents["in"]
    is_chain = True
    for row in stages:
        is_chain &= row["in"] == kept
        kept = row["kept"]
    dropped = sum(sum(row["dropped"].values()) for row in stages)
    adds_up = all(row["in"] == row["kept"] + sum(row["dropped"].values()) for row in stages)
    checks = [
        _check("every stage: in = kept + dropped", adds_up),
        _check("every stage takes in what the one before it kept", is_chain and kept == documents["kept"]),
        _check(f"{documents['in']:,} read = {documents['kept']:,} kept + {dropped:,} dropped",
               documents["in"] == documents["kept"] + dropped),
    ]  # fmt: skip
    in_clean = count_rows(state.layout.clean(source.name))
    in_dropped = count_rows(state.layout.dropped(source.name))
    if in_clean is not None:
        checks.append(_check(f"clean/ holds {counted(in_clean, 'document')}", in_clean == documents["kept"]))
    if in_dropped is not None:
        records = sum(stats["records"].values())
        text = f"dropped/ holds {counted(in_dropped, 'row')} = {counted(dropped, 'document')} + "
        text += counted(records, "record")
        text += " that became none"
        checks.append(_check(text, in_dropped == dropped + records))
    return checks


def _check(text: str, is_right: bool) -> dict[str, Any]:
    return {"text": text, "is_right": is_right}
