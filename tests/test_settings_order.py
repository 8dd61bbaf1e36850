"""Tests that settings keep their position and their default, because fingerprints rely on both."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

_spec = importlib.util.spec_from_file_location("make_settings", Path(__file__).parent / "make_settings.py")
assert _spec is not None
assert _spec.loader is not None
make_settings = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_settings)

ADVICE = (
    "{name}: a setting was moved, or has another default. Add settings at the end; for another default raise the data "
    "version; then run `make golden`."
)


def test_settings_keep_their_position_and_default() -> None:
    before, now = json.loads(make_settings.GOLDEN.read_text("utf-8")), make_settings.settings_now()
    assert before
    for name, settings in before.items():
        if name not in now:  # a step that is gone
            continue
        same_version = settings["data_version"] == now[name]["data_version"]
        kept = now[name]["settings"][: len(settings["settings"])]
        if same_version:  # names may change: no name enters a fingerprint
            assert [d for _, d in kept] == [d for _, d in settings["settings"]], ADVICE.format(name=name)


def test_the_golden_settings_are_those_of_the_code() -> None:
    assert json.loads(make_settings.GOLDEN.read_text("utf-8")) == make_settings.settings_now(), "run `make golden`"
