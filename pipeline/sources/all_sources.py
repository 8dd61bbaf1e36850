"""Collects the sources of a run: the sources defined in code, and the sources that the configuration file declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.sources import SOURCES
from pipeline.sources.all_steps import steps_named
from pipeline.sources.corpora.declare import corpus_source
from pipeline.sources.source import Source


def all_sources(corpora: Mapping[str, Any]) -> dict[str, Source]:
    """Returns all sources by name: first the sources defined in code, then the sources that ``corpora`` declares.
    ``corpora`` is the section of this name in a configuration file.

    Raises:
        ValueError: a declaration is invalid, or a source defined in code has the same name.

    >>> list(all_sources({"mine": {"files": "mine/*.jsonl"}}))[-2:]
    ['stack_exchange', 'mine']
    """
    taken = next((name for name in corpora if name in SOURCES), None)
    if taken is not None:
        raise ValueError(f"corpora.{taken}: {taken} is a source already; choose another name")
    return {**SOURCES, **{name: corpus_source(name, one) for name, one in corpora.items()}}


def with_steps(source: Source, given: Any) -> Source:
    """Returns a copy of a source with different steps. ``given`` is the list of steps in a configuration file.

    The list can contain the steps that the source has by default, and every filter or dedup that
    :mod:`pipeline.sources.all_steps` knows.

    Raises:
        ValueError: the list is invalid, or does not contain ``duplicate_id``.

    >>> from pipeline.sources import SOURCES
    >>> [step.NAME for step in with_steps(SOURCES["books"], ["duplicate_id", "gutenberg"]).steps]
    ['duplicate_id', 'gutenberg']
    """
    where = f"sources.{source.name}.steps"
    steps = steps_named(where, given, {step.NAME: step for step in source.steps})
    if all(step.NAME != "duplicate_id" for step in steps):
        raise ValueError(f"{where} lacks duplicate_id: every later stage relies on unique ids")
    return dataclasses.replace(source, steps=steps, declared={**(source.declared or {}), "steps": given})


def source_of_output(name: str, declared: Mapping[str, Any] | None) -> Source | None:
    """Returns a source as an earlier run defined it, from the declaration that the run recorded. If the run recorded no
    declaration, returns the source of this name that is defined in code; None if there is no such source.

    Args:
        name: the name of the source.
        declared: the part of the earlier run's configuration file that defines the source; None if there was none.

    Raises:
        ValueError: the recorded declaration is not valid in this version.
    """
    source = SOURCES.get(name)
    if source is None:
        return None if declared is None else corpus_source(name, declared)
    return with_steps(source, declared["steps"]) if declared and "steps" in declared else source
