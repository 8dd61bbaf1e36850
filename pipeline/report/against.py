"""Makes the section of the page that compares two runs. The section has sentences, then a pair of bars per source, then
tables with one column per run.

The rows of the tables come from :mod:`pipeline.report.compare`, which also prints them in the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mixtures.plan.table import shown_epochs
from pipeline.report.charts import percent
from pipeline.report.compare import (
    Rows,
    count_rows,
    inputs_of,
    reason_rows,
    share_rows,
    tokenizer_note,
    versions_of,
)
from pipeline.report.funnel import NUM_SHADES, overview
from pipeline.report.output_state import WHOLE, RunState
from pipeline.report.settings import differences, settings_of

_MAX_SENTENCES = 5
_NOTED_CHANGE = 0.05
"""A source is named if the size of its kept text changed by at least this share. Ours."""
_MORE_OFTEN = 1.5
"""A source that is repeated is named if one run uses it this many times as often as the other. Ours."""
_MAX_ROWS = 400
"""The largest number of rows of a table on the page. The terminal prints all rows."""


def against(other: RunState, this: RunState) -> dict[str, Any]:
    """Returns the values that the page shows about the differences between two runs. In each comparison, the page shows
    ``other`` first, then ``this``.
    """
    settings = differences(settings_of(other), settings_of(this))
    reasons = [row for row in reason_rows(other, this) if row[2] != row[3]]
    tables: list[tuple[str, tuple[str, ...], Rows, int]] = [
        ("Documents and tokens", ("source", "", "other", "this", "change"), count_rows(other, this), 2),
        ("Mixture", ("source", "share other %", "share this %", "epochs other", "epochs this", "tokens other",
                     "tokens this"), share_rows(other, this), 1),
        ("Dropped, by reason, where it differs", ("source", "stage: reason", "other", "this", "change"), reasons, 2),
        ("Settings", ("setting", "other", "this"), [(d.name, d.this, d.other) for d in settings], 3),
        ("Versions and models", ("name", "other", "this"),
         [(d.name, d.this, d.other) for d in differences(versions_of(other), versions_of(this))], 3),
        ("Inputs", ("source", "other", "this"),
         [(d.name, d.this, d.other) for d in differences(inputs_of(other), inputs_of(this))], 3),
    ]  # fmt: skip
    return {
        "other": other.layout.output,
        "sentences": list(_sentences(other, this, len(settings))),
        "bars": list(_bars(other, this)),
        "tables": [
            {
                "title": title,
                "header": header,
                "rows": rows[:_MAX_ROWS],
                "left": left,
                "num_more": len(rows) - _MAX_ROWS,
            }
            for title, header, rows, left in tables
        ],
    }


def _sentences(other: RunState, this: RunState, num_settings: int) -> Iterator[str]:
    if other.status != WHOLE:
        yield "The other run did not finish, or was not mixed."
    tokens = [(state.manifest or {}).get("tokens") for state in (other, this)]
    if None not in tokens:
        yield f"Tokens of the stream: {_change(*tokens)}."  # type: ignore[arg-type]
        yield from _of_stream(other, this)
    kept = [_kept(state) for state in (other, this)]
    yield f"Documents kept: {_change(*kept)}."
    found = sorted(_reason_changes(other, this), key=lambda one: (-abs(one[1]), one[0]))
    for name, difference in found[:_MAX_SENTENCES]:
        yield f"{name}: {abs(difference):,} {'more' if difference > 0 else 'fewer'} dropped."
    if not found:
        yield "Every reason dropped as many documents as before."
    yield (
        f"{num_settings} setting{' differs' if num_settings == 1 else 's differ'}."
        if num_settings
        else ("No setting differs.")
    )


def _of_stream(other: RunState, this: RunState) -> Iterator[str]:
    """Yields sentences that say what a change of the number of tokens means: other tokenizers, less text that is
    repeated more often.
    """
    if note := tokenizer_note(other, this):
        yield note
    before, now = ((state.manifest or {"sources": {}})["sources"] for state in (other, this))
    for name, line in now.items():
        sizes = [one.stats["bytes"]["kept"] for state in (other, this) if (one := state.source(name)) and one.stats]
        if name not in before or len(sizes) != 2 or not sizes[0]:
            continue
        change = (sizes[1] - sizes[0]) / sizes[0]
        epochs = [before[name]["epochs"], line["epochs"]]
        is_repeated = max(epochs) > 1 and max(epochs) >= _MORE_OFTEN * min(epochs)
        if abs(change) >= _NOTED_CHANGE or is_repeated:
            text = f"{percent(100 * abs(change))} % {'more' if change > 0 else 'less'} text is kept" if change else ""
            seen = f"it is seen {shown_epochs(epochs[1])} times in the stream, {shown_epochs(epochs[0])} before"
            yield f"{name}: {f'{text}; {seen}' if text else seen}."


def _change(before: int, now: int) -> str:
    """Returns a text about the change from ``before`` to ``now``. The text begins with ``now``.

    >>> _change(100, 90), _change(5, 5), _change(0, 7)
    ('90, 10 fewer than 100 (10 %)', '5, as before', '7, 7 more than 0')
    """
    if before == now:
        return f"{now:,}, as before"
    share = f" ({percent(100 * abs(now - before) / before)} %)" if before else ""
    return f"{now:,}, {abs(now - before):,} {'more' if now > before else 'fewer'} than {before:,}{share}"


def _kept(state: RunState) -> int:
    return sum(source.stats["documents"]["kept"] for source in state.sources if source.stats is not None)


def _reason_changes(other: RunState, this: RunState) -> Iterator[tuple[str, int]]:
    before, now = _dropped(other), _dropped(this)
    for key in sorted({*before, *now}):
        # A source that only one run has is no change of a reason.
        if key[0] in {k for k, *_ in before} & {k for k, *_ in now} and before.get(key, 0) != now.get(key, 0):
            yield f"{key[1]}: {key[2]} of {key[0]}", now.get(key, 0) - before.get(key, 0)


def _dropped(state: RunState) -> Mapping[tuple[str, str, str], int]:
    return {
        (source.name, row["stage"], reason): count
        for source in state.sources
        if source.stats is not None
        for row in source.stats["stages"]
        for reason, count in row["dropped"].items()
    }


def _bars(other: RunState, this: RunState) -> Iterator[dict[str, Any]]:
    """Yields two bars for each source that is in both runs, with a list of the losses that differ. One bar belongs to
    each run. It shows the share of the source's documents that the run kept, and one share per drop reason.

    Each drop reason has the same shade in both bars.
    """
    before = {bar["name"]: bar for bar in overview(other.sources)}
    for bar in overview(this.sources):
        if bar["name"] not in before:
            continue
        pair = [("other", before[bar["name"]]), ("this", bar)]
        names = dict.fromkeys(part["name"] for _, one in pair for part in one["parts"])
        shades = {name: number % NUM_SHADES for number, name in enumerate(names)}
        counts = []
        for _, one in pair:
            one["parts"] = [{**part, "shade": shades[part["name"]]} for part in one["parts"]]
            counts.append({part["name"]: part["count"] for part in one["parts"]})
        changed = [
            {"name": name, "shade": shade, "before": counts[0].get(name, 0), "now": counts[1].get(name, 0)}
            for name, shade in shades.items()
            if counts[0].get(name, 0) != counts[1].get(name, 0)
        ]
        is_equal = not changed and pair[0][1]["read"] == bar["read"]
        yield {"name": bar["name"], "anchor": bar["anchor"], "pair": pair, "changed": changed, "is_equal": is_equal}
