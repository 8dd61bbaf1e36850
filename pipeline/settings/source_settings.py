"""Applies the ``sources:`` section of a configuration file to a source's reader, steps and join."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mixtures.from_yaml import setting_fields, with_settings
from mixtures.setting_error import SettingError
from pipeline.sources.all_sources import with_steps
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.optional_steps import OPTIONAL_STEPS
from pipeline.sources.source import Source
from tokenizer.did_you_mean import did_you_mean

FIXED = DedupStep.FIXED
"""Fields of steps that a configuration file cannot set."""


def configured(source: Source, settings: Mapping[str, Any]) -> Source:
    """Returns the source with a run's settings.

    ``settings`` is a mapping. It can have these keys:

    - ``reader`` and ``join``: the settings of the reader and of the join.
    - ``steps``: a list of steps that replaces the source's own list.
    - The name of a step in the list: the settings of this step, or False (``off``) to leave the step out.
    - ``near_dedup`` and ``passage_dedup``, if they are not in the list: their settings, or True (``on``) to add the
      step with its default settings. The step is added at the end.

    Raises:
        ValueError: a name or a setting is unknown, or a value does not fit. The message lists the known names.
    """
    where = f"sources.{source.name}"
    if "steps" in settings:
        source = with_steps(source, settings["steps"])
        settings = {name: one for name, one in settings.items() if name != "steps"}
    steps = {step.NAME: step for step in source.steps}
    optional = {name: step for name, step in OPTIONAL_STEPS.items() if name not in steps}
    steps |= {name: step for name, step in optional.items() if settings.get(name, False) not in (False, None)}
    has_join_settings = source.join is not None and bool(setting_fields(source.join))
    known = ["reader", *(["join"] if has_join_settings else []), "steps", *steps, *optional]
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known)
            raise SettingError(f"{where}.{name} is not known{hint}; there are: {', '.join(known)}", f"{where}.{name}")
    off = {name for name in steps if settings.get(name) is False}
    if "duplicate_id" in off:
        message = f"{where}.duplicate_id cannot be off: every later stage relies on unique ids"
        raise SettingError(message, f"{where}.duplicate_id")

    def applied(name: str, value: Any) -> Any:
        new = settings.get(name)
        return with_settings(value, new, f"{where}.{name}", fixed=FIXED) if new not in (None, {}, True) else value

    return dataclasses.replace(
        source,
        reader=applied("reader", source.reader),
        join=applied("join", source.join),
        steps=tuple(applied(name, step) for name, step in steps.items() if name not in off),
    )
