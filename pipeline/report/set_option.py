"""Parses the values of the flag ``--set``. These values change settings of a run's steps for a recount (an estimate
without a new run). The result has each changed step, before and after the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import yaml

from filters.ccnet.perplexity import Perplexity
from pipeline.report.first_look import no_such_source, split_setting
from pipeline.report.output_state import RunState, SourceState
from pipeline.report.rejudge import Change
from pipeline.settings.source_settings import configured
from tokenizer.did_you_mean import did_you_mean

_BUCKET_ENDS = {"head": 0, "middle": 1}
"""Maps the name of a perplexity bucket to the index of its end in the model's cut-offs. The names ``perplexity.head``
and ``perplexity.middle`` in ``--set`` change these ends. The ends belong to the model and are not settings of the step.
"""


def parse_changes(state: RunState, settings: Sequence[str]) -> dict[str, list[Change]]:
    """Returns the changed steps by source, from the values of ``--set``.

    A value has one of three forms: ``SOURCE.STEP.FIELD=VALUE``; ``SOURCE.FIELD=VALUE``, which applies to every step
    with this field; or ``SOURCE.STEP=off``.

    Raises:
        ValueError: a name or a value is wrong. The message lists the known names.
    """
    by_source: dict[str, dict[str, Any]] = {}
    cutoffs: dict[str, dict[str, list[float]]] = {}
    for setting in settings:
        name, rest, text = split_setting(setting)
        one = state.source(name)
        if one is None or one.source is None:
            raise ValueError(no_such_source(setting, name, [s.name for s in state.sources if s.source]))
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {setting}: {text!r} is not a value") from error
        if rest[0] == "perplexity" and len(rest) > 1 and rest[1] in _BUCKET_ENDS:
            _move_cutoff(cutoffs.setdefault(name, {k: list(v) for k, v in one.cutoffs.items()}), rest, value, setting)
        else:
            _lay(by_source.setdefault(name, {}), one, rest, value, setting)
    for of_source in cutoffs.values():  # checked at the end, because both ends can be changed
        for language, (head, middle) in of_source.items():
            if head > middle:
                raise ValueError(f"--set: the head of {language} would end after the middle: {head:g} and {middle:g}")
    return {
        name: _changes(state, name, by_source.get(name, {}), cutoffs.get(name)) for name in {**by_source, **cutoffs}
    }


def _move_cutoff(cutoffs: dict[str, list[float]], rest: Sequence[str], value: Any, setting: str) -> None:
    chosen = rest[2:] or sorted(cutoffs)
    unknown = [language for language in chosen if language not in cutoffs]
    if unknown or not chosen:
        there = ", ".join(sorted(cutoffs)) or "none, the run left none in .work"
        raise ValueError(f"--set {setting}: no cut-offs of {', '.join(unknown) or 'any language'}; there are: {there}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"--set {setting}: a perplexity must be a number, not {value!r}")
    for language in chosen:
        cutoffs[language][_BUCKET_ENDS[rest[1]]] = float(value)


def _lay(fields: dict[str, Any], one: SourceState, rest: Sequence[str], value: Any, setting: str) -> None:
    assert one.source is not None
    steps = {step.NAME: step for step in one.source.steps}
    if len(rest) == 2:
        fields.setdefault(rest[0], {})[rest[1]] = value
    elif rest[0] in steps:
        if value is not False:
            raise ValueError(f"--set {setting}: {rest[0]} is a step: write {rest[0]}.FIELD=VALUE, or {rest[0]}=off")
        fields[rest[0]] = False
    else:
        having = [name for name, step in steps.items() if rest[0] in getattr(step, "__dataclass_fields__", {})]
        if not having or len(rest) > 2:
            names = {name: None for step in steps.values() for name in getattr(step, "__dataclass_fields__", {})}
            hint = did_you_mean(rest[0], [*steps, *names])
            raise ValueError(f"--set {setting}: no step of {one.name} has {rest[0]}{hint}; its steps: "
                             f"{', '.join(steps)}")  # fmt: skip
        for name in having:
            fields.setdefault(name, {})[rest[0]] = value


def _changes(
    state: RunState, name: str, fields: Mapping[str, Any], cutoffs: dict[str, list[float]] | None
) -> list[Change]:
    one = state.source(name)
    assert one is not None
    assert one.source is not None
    changed = configured(one.source, fields)
    if (changed.join, changed.reader) != (one.source.join, one.source.reader):
        early = ", ".join(sorted(set(fields) - {step.NAME for step in one.source.steps}))
        raise ValueError(
            f"--set {name}.{early}: this decides before the first step, and no signal shows what it would change; "
            "try it in a run with another --output (--reuse takes the other sources from this one)"
        )
    after = {step.NAME: step for step in changed.steps}
    moved = cutoffs if cutoffs is not None else one.cutoffs
    changes = [Change(step, after.get(step.NAME), one.cutoffs, moved) for step in one.source.steps]
    return [
        change
        for change in changes
        if change.before != change.after or (isinstance(change.before, Perplexity) and moved != one.cutoffs)
    ]
