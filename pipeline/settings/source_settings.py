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

    ``settings`` maps names to settings. A name is ``reader``, ``join``, ``steps`` or the name of a step. If a step has
    the value False (``off``), it is left out. ``steps`` is a list of steps that replaces the source's own list. Then
    the settings of steps apply to the steps of the new list. ``near_dedup`` and ``passage_dedup`` need not be in a
    list. To add one of them at the end, give it the value True (``on``) or a mapping of settings.

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
