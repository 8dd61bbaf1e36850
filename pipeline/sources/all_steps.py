"""Finds steps by name. A configuration file can list the steps of a source by these names. An example of such a list:

::

    steps: [min_length: {min_chars: 200}, gopher_quality, exact_dedup: {key: url}, line_dedup, near_dedup]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filters.rule_sets.fineweb import FineWebQuality
from filters.rule_sets.gopher import GopherQuality, GopherRepetition
from filters.step import Step
from filters.url_lists import UrlList
from mixtures.from_yaml import with_settings
from mixtures.setting_error import SettingError
from pipeline.sources import SOURCES
from pipeline.sources.dedup_steps import DedupStep, ExactDedup, LineDedup
from pipeline.sources.optional_steps import OPTIONAL_STEPS
from pipeline.sources.source import AnyStep
from tokenizer.did_you_mean import did_you_mean

EXACT = "exact_dedup"
UNPLACED: tuple[Step, ...] = (GopherQuality(), GopherRepetition(), FineWebQuality(), UrlList())
"""Filters that no source has by default. A configuration file can add them to any source."""


def _all_filters() -> dict[str, Step]:
    found = {step.NAME: type(step)() for source in SOURCES.values() for step in source.steps if isinstance(step, Step)}
    return found | {step.NAME: step for step in UNPLACED}


FILTERS: Mapping[str, Step] = _all_filters()
"""Maps the name of each filter to the filter with its default settings."""
DEDUPS: Mapping[str, DedupStep] = {
    "line_dedup": LineDedup(rule="Removes lines that several documents share."),
    **OPTIONAL_STEPS,
}
"""Maps the names of dedups to the dedups with their default settings. The exact dedup is missing, because its setting
``key`` has no default.
"""


def steps_named(where: str, given: Any, own: Mapping[str, AnyStep]) -> tuple[AnyStep, ...]:
    """Returns the steps that a list in a configuration file names, with their settings.

    An exact dedup gets a name that consists of ``duplicate_`` and its key, as in the example.

    Args:
        where: the name of the list, for error messages.
        given: the list in the configuration file.
        own: the steps that the source has by default, by name. The list can name these steps too. They take precedence
            over filters and dedups of the same name.

    Raises:
        ValueError: a step or a setting is unknown, or two steps have the same name.

    >>> [step.NAME for step in steps_named("steps", ["language", {"exact_dedup": {"key": "url"}}], {})]
    ['language', 'duplicate_url']
    """
    if not isinstance(given, list):
        raise ValueError(f"{where} must be a list of steps, not {given!r}")
    steps = tuple(_step(f"{where}[{number}]", one, own) for number, one in enumerate(given))
    names = [step.NAME for step in steps]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{where} has {twice} twice: a step is counted by its name")
    return steps


def _step(where: str, given: Any, own: Mapping[str, AnyStep]) -> AnyStep:
    name, settings = _name_and_settings(where, given)
    if name == EXACT:
        return _exact(f"{where}.{name}", settings)
    step: AnyStep | None = own.get(name) or FILTERS.get(name) or DEDUPS.get(name)
    if step is None:
        known = sorted({*own, *FILTERS, *DEDUPS, EXACT})
        message = f"{where}: {name!r} is not a step{did_you_mean(name, known)} (there are: {', '.join(known)})"
        raise SettingError(message, where)
    return with_settings(step, settings, f"{where}.{name}", fixed=DedupStep.FIXED) if settings else step


def _name_and_settings(where: str, given: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(given, str):
        return given, {}
    if isinstance(given, Mapping) and len(given) == 1:
        ((name, settings),) = given.items()
        if settings is None or isinstance(settings, Mapping):
            return str(name), settings or {}
    raise ValueError(f"{where} must be the name of a step, or its name with settings: NAME: {{SETTING: VALUE}}, "
                     f"not {given!r}")  # fmt: skip


def _exact(where: str, settings: Mapping[str, Any]) -> ExactDedup:
    key = settings.get("key")
    if not isinstance(key, str) or not key:
        raise ValueError(f"{where} needs a key: the column by which documents are equal, such as {{key: url}}")
    name = f"duplicate_{key.strip('_')}"
    step = ExactDedup(NAME=name, reason=name, key=key, rule=f"Keeps one of all documents with an equal {key}.")
    return with_settings(step, settings, where, fixed=DedupStep.FIXED)
