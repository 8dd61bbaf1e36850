"""What is known of a source before it is cleaned: its files, units, models and fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.clean.dumps import PreparedDump
from pipeline.settings.inputs import Listing
from pipeline.sources.source import Source, Unit


@dataclass(frozen=True, slots=True)
class PreparedSource:
    """A source of this run, before it runs."""

    source: Source
    listing: Listing
    units: tuple[Unit, ...]
    model_paths: Mapping[str, Any]
    fingerprint: str
    dumps: tuple[PreparedDump, ...] = ()
    """Of a source that is cleaned dump by dump."""
