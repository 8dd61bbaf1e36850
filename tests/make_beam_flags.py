"""Writes the flags of the installed Apache Beam into ``pipeline/settings/beam_flags.json``: ``python -m
tests.make_beam_flags``.

A run checks its flags with this list, so that it reports a misspelt flag immediately. Importing Beam would take
seconds. A test compares the list with the installed Beam.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

FILE = Path(__file__).parents[1] / "pipeline" / "settings" / "beam_flags.json"


def beam_flags() -> list[dict[str, Any]]:
    """Returns Beam's flags: the names of each flag and, if Beam declares them, the type, number and choices of its
    values.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in _subclasses(PipelineOptions):
        options._add_argparse_args(parser)
    found = []
    for action in parser._actions:
        one: dict[str, Any] = {"names": list(action.option_strings)}
        if action.nargs is not None:
            one["nargs"] = action.nargs
        if action.type in (int, float):
            one["type"] = action.type.__name__
        if action.choices is not None:
            one["choices"] = list(action.choices)
        found.append(one)
    return sorted(found, key=lambda one: one["names"])


def text() -> str:
    """Returns the content of the file: one line per flag."""
    return "[\n" + ",\n".join(json.dumps(one, sort_keys=True) for one in beam_flags()) + "\n]\n"


def _subclasses(kind: Any) -> Iterator[Any]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {FILE}")
