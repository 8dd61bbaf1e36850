"""Says why ``--reuse`` did not take a source from another output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.clean.phase import about_source
from pipeline.clean.prepared_source import PreparedSource
from pipeline.output.markers import read_marker
from pipeline.output.paths import Layout

_MAX_LISTED = 3
"""The number of differences that a line lists."""
_MAX_CHARS = 60
"""The largest length of a setting's value in a line, in characters."""


def why_not_reused(one: PreparedSource, other: Layout) -> str:
    """Returns a text that says why a source of this run cannot be taken from another output.

    In most cases, the text lists what differs: settings, models or input files. It lists at most three differences.
    Call this function only if the source could not be taken.
    """
    name = one.source.name
    marker = read_marker(other.marker(f"clean-{name}"))
    if marker is None:
        return "it has no finished clean documents of this source"
    if marker.get("fingerprint") == one.fingerprint:
        return "files of its clean documents are missing or were changed"
    here, there = json.loads(json.dumps(about_source(one))), marker.get("about", {})
    found = list(_differences(name, here, there))
    more = f" and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
    default = "another version made it, or it was compared with other sources"
    return ", ".join(found[:_MAX_LISTED]) + more if found else default


def _differences(source: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    if here["inputs"]["fingerprint"] != there.get("inputs", {}).get("fingerprint"):
        yield "the input files differ"
    for key in sorted(here["models"].keys() | there.get("models", {}).keys()):
        if _of(here["models"], key).get("sha256") != _of(there.get("models", {}), key).get("sha256"):
            yield f"the model {key} differs"
    settings = here["settings"], there.get("settings", {})
    for part in ("reader", "join"):
        yield from _of_settings(f"sources.{source}.{part}", *(_of(one, part) for one in settings))
    steps = [_of(one, "steps") for one in settings]
    for step in [*steps[0], *(step for step in steps[1] if step not in steps[0])]:
        where = f"sources.{source}.{step}"
        if step not in steps[0] or step not in steps[1]:
            yield f"{where} is {'on here and off' if step in steps[0] else 'off here and on'} there"
        else:
            yield from _of_settings(where, steps[0][step], steps[1][step])
    if list(steps[0]) != list(steps[1]) and steps[0].keys() == steps[1].keys():
        yield f"the steps of {source} are in another order"


def _of_settings(where: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    """Yields the settings of a step that differ.

    >>> list(_of_settings("sources.web.language", {"data_version": 1, "min_score": 0.5},
    ...                   {"data_version": 1, "min_score": 0.6}))
    ['sources.web.language.min_score is 0.5 here and 0.6 there']
    """
    for field in sorted(here.keys() | there.keys()):
        if here.get(field) != there.get(field):
            yield f"{where}.{field} is {_short(here.get(field))} here and {_short(there.get(field))} there"


def _of(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return values.get(key) or {}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 3] + "..."
