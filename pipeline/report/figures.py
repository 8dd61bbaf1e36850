"""Computes the values that the page shows about each source and the mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np

from mixtures.plan.by_part import by_part
from mixtures.plan.table import shown_epochs
from pipeline.report.charts import Bar, Histogram, LimitLine, bars, describe, flag, histogram, short
from pipeline.report.collect import KEPT, Collected, group_name
from pipeline.report.documents import Floats, Read
from pipeline.report.limits import Limit, marks_of, title_of
from pipeline.report.output_state import RunState, SourceState
from tokenizer.numbers import counted

MAX_CHARTS = 16
"""The largest number of charts per source. Steps can measure many signals, so this limit bounds the size of the
page.
"""
_MAX_LANGUAGES = 14
NEARLY = Fraction(1001, 1000)
"""The recipe's ``max_epochs`` limits the tokens that a source can give. A source is at this limit if it can give less
than this many times the tokens that it gives to the stream."""


def mixture(state: RunState) -> dict[str, Any] | None:
    """Returns the intended mixture and the resulting mixture. There is one row per source, or one row per part if the
    recipe divides the source into parts. Returns None if nothing was mixed.
    """
    manifest = state.manifest
    if manifest is None:
        return None
    rows = [_mixture_row(state, name, line) for name, line in manifest["sources"].items()]
    rooms = [row["room"] for row in rows if row["room"] is not None]
    least = min(rooms, default=None)
    for row in rows:
        row["limits"] = least is not None and row["room"] == least and least < NEARLY
    limiting = [row["source"] for row in rows if row["limits"]]
    others = [row["room"] for row in rows if row["room"] is not None and not row["limits"]]
    longest = max((max(row["share"], row["percent"]) for row in rows), default=0.0) or 1.0
    for row in rows:
        row["width"], row["mark"] = 100 * row["share"] / longest, 100 * row["percent"] / longest
    return {
        "rows": rows,
        "tokens": manifest["tokens"],
        "documents": manifest["documents"],
        "limiting": limiting,
        "others_room": float(min(others)) if others else None,
        "is_room_known": bool(rooms),
        "validation": manifest["validation"],
        "left_out": [
            f"{source}: {one['left_out']['documents']:,} documents ({one['left_out']['tokens']:,} tokens) are left out "
            f"of the mixture: the recipe has no weight for their {one['by']}"
            for source, one in manifest.get("parts", {}).items()
            if one["left_out"]["documents"]
        ],
    }


def _mixture_row(state: RunState, name: str, line: Mapping[str, Any]) -> dict[str, Any]:
    assert state.manifest is not None
    most = by_part(state.recipe).max_epochs.get(name) if state.recipe else None
    room = None
    if most is not None and line["tokens"]:
        room = Fraction(floor(Fraction(most) * line["available_tokens"]), line["tokens"])
    return {
        "source": name,
        "percent": 100 * line["weight"] / _weights(state),
        "weight": _percent(100 * line["weight"] / _weights(state)),
        "share": line["share"],
        "got": _percent(line["share"]),
        "tokens": line["tokens"],
        "available": line["available_tokens"],
        "num_epochs": line["epochs"],
        "epochs": _epochs(line["epochs"]),
        "max_epochs": "" if most is None else f"{most:f}",
        "documents": line["documents"],
        "available_documents": line["available_documents"],
        "room": room,
    }


def _epochs(value: float) -> str:
    """Returns a number of epochs as text, without zeros at its end.

    >>> _epochs(1.1), _epochs(4.0), _epochs(0.003138)
    ('1.1', '4', '0.0031')
    """
    text = shown_epochs(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _percent(value: float) -> str:
    """Returns a percentage as text with four significant digits. Further digits would only show that the numbers of
    tokens were rounded.

    >>> _percent(67.000026), _percent(4.499957), _percent(0.0123)
    ('67', '4.5', '0.0123')
    """
    return f"{value:.4g}"


def _weights(state: RunState) -> float:
    assert state.manifest is not None
    return float(sum(line["weight"] for line in state.manifest["sources"].values())) or 1.0


def distributions(state: SourceState, found: Collected) -> list[dict[str, Any]]:
    """Returns the charts of a source. First come the charts of signals (numbers that steps measured), with the limits
    of the signals. Then come charts of lengths, tokens and bytes per token.
    """
    signals = [name for name in found.values if name not in ("text_bytes", "num_tokens")]
    with_limit = {limit.signal for limit in found.limits}
    signals.sort(key=lambda name: (name not in with_limit, list(found.values).index(name)))
    signals = [*signals[: MAX_CHARTS - 3], *(n for n in ("text_bytes", "num_tokens") if n in found.values)]
    charts = [chart for name in signals if (chart := _distribution(state, found, name)) is not None]
    per_token = _bytes_per_token(found)
    return [*charts, *([per_token] if per_token else [])]


def constants(found: Collected) -> list[str]:
    """Returns one line for each signal that has no limit and the same value for all documents. Such signals get no
    chart.
    """
    limited = {limit.signal for limit in found.limits}
    lines = []
    for name, groups in found.values.items():
        only = _the_only(*(values for parts in groups.values() for values in parts))
        if name not in limited and only is not None:
            lines.append(f"{title_of(name)}: {short(only)}")
    return lines


def _the_only(*groups: Floats) -> float | None:
    """Returns the value of a signal if all documents have the same value; None if they have different values. Returns 0
    if there are no documents.
    """
    values = np.concatenate([g for g in groups if len(g)] or [np.zeros(1)])
    return float(values[0]) if values.min() == values.max() else None


def _distribution(state: SourceState, found: Collected, signal: str) -> dict[str, Any] | None:
    limits = [limit for limit in found.limits if limit.signal == signal]
    stages = {limit.stage for limit in limits}
    own = {group_name(limit.stage, limit.reason) for limit in limits}
    groups = found.values[signal]
    fell = _joined(found, signal, [g for g in groups if g != KEPT and g in own])
    other = _joined(found, signal, [g for g in groups if g != KEPT and g not in own])
    kept = found.of(signal, KEPT)
    if not limits and _the_only(kept, fell, other) is not None:
        return None
    steps = [step for step in state.source.steps if step.NAME in stages] if state.source else []
    marks = [LimitLine(value, name, is_limit=False) for step in steps for name, value in marks_of(step, state.cutoffs)]
    data = Histogram(
        title=title_of(signal),
        kept=kept,
        fell=fell,
        other=other,
        lines=[*(LimitLine(one.value, one.label, one.brief) for one in limits), *marks],
        dropped_weight=_weight(state, found),
    )
    return {
        "title": title_of(signal),
        "svg": flag(data) if signal.startswith("is_") else histogram(data),
        "languages": [],
        "rows": [
            {"group": name, "documents": len(values), "quantiles": [short(q) for q in _quantiles(values)]}
            for name, values in (("kept", kept), ("dropped by this limit", fell), ("dropped for another reason", other))
            if len(values)
        ],
        "alt": describe(data),
        "notes": _notes(limits),
        "cites": [{"label": limit.label, "cite": limit.cite} for limit in limits if limit.cite],
    }


def _joined(found: Collected, signal: str, groups: Sequence[str]) -> Floats:
    return np.concatenate([found.of(signal, g) for g in groups]) if groups else np.empty(0)


def _quantiles(values: Floats) -> list[float]:
    return [float(q) for q in np.percentile(values, [5, 25, 50, 75, 95])]


def _notes(limits: Sequence[Limit]) -> list[str]:
    stopped = sorted({limit.counts_up_to for limit in limits if limit.counts_up_to is not None})
    return [f"counting stops at {value:g}: that many or more" for value in stopped]


def _weight(state: SourceState, found: Collected) -> float:
    """Returns the weight of a sampled dropped document in a chart. A sampled kept document has the weight 1.

    Kept and dropped documents can be sampled at different rates. For example, if all kept documents and every second
    dropped document were read, the weight is 2.
    """
    if state.stats is None or not found.clean.num_docs or not found.dropped.num_docs:
        return 1.0
    kept, dropped = state.stats["documents"]["kept"], state.stats["documents"]["in"] - state.stats["documents"]["kept"]
    dropped += sum(state.stats["records"].values())
    per_kept, per_dropped = kept / found.clean.num_docs, dropped / found.dropped.num_docs
    return per_dropped / per_kept if per_kept else 1.0


def per_token_by_source(collected: Sequence[tuple[str, Collected]]) -> dict[str, Any] | None:
    """Returns a chart of the bytes of text per token, with one bar per source; None if no tokens are known."""
    known = [(s, f.tokenized_bytes.total(), f.language_tokens.total()) for s, f in collected]
    drawn = [Bar(s, size / tokens, f"{size / tokens:.2f}") for s, size, tokens in known if tokens]
    return {"svg": bars(drawn, alt="Bytes of text per token, by source")} if drawn else None


def _bytes_per_token(found: Collected) -> dict[str, Any] | None:
    languages = [name for name, _ in found.tokenized_bytes.most_common(_MAX_LANGUAGES) if found.language_tokens[name]]
    if not languages:
        return None
    rows: list[dict[str, Any]] = [
        {
            "group": name,
            "documents": found.language_docs[name],
            "bytes": found.language_bytes[name],
            "tokens": found.language_tokens[name],
            "per_token": found.tokenized_bytes[name] / found.language_tokens[name],
        }
        for name in languages
    ]
    chart = bars([Bar(r["group"], r["per_token"], f"{r['per_token']:.2f}") for r in rows], width=5.0,
                 alt="Bytes of text per token, by language")  # fmt: skip
    return {
        "title": "bytes per token, by language",
        "svg": chart,
        "languages": rows,
        "notes": [],
        "cites": [],
        "alt": "",
    }


def how_much_was_read(found: Collected) -> str:
    """Returns a text that says whether the distributions cover all documents. If they cover only a sample, the text
    says how large it is.
    """
    lines = [_read(found.clean, "clean"), _read(found.dropped, "dropped")]
    return "; ".join([*(s for s in lines if s), *unreadable(found)])


def unreadable(found: Collected) -> list[str]:
    """Returns a line for each file of a source that could not be read completely."""
    files = {**found.clean.unreadable, **found.dropped.unreadable}
    return [f"{path} cannot be read whole: {error}" for path, error in files.items()]


def _read(read: Read, folder: str) -> str:
    if not read.num_files:
        return f"{folder}/ holds nothing"
    if read.is_all:
        rows = counted(read.num_docs, "row")
        return f"{rows if read.num_docs == 1 else f'all {rows}'} of {folder}/"
    return f"a sample of {counted(read.num_docs, 'row')} of {folder}/, evenly out of {counted(read.num_files, 'file')}"
