"""Describes a source of a run before it is cleaned: its files, units (pieces of the input), models and fingerprint (a
hash of everything that it is made from)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.clean.across import AcrossPlace
from pipeline.clean.dumps import PreparedDump
from pipeline.clean.sizing import scale_of
from pipeline.settings.inputs import Listing
from pipeline.sources.source import Source, Unit


@dataclass(frozen=True, slots=True)
class PreparedSource:
    """Holds what is known about a source before it is cleaned."""

    source: Source
    listing: Listing
    units: tuple[Unit, ...]
    model_paths: Mapping[str, Any]
    """The paths of models and other files that steps need, by key."""
    fingerprint: str
    """A hash of everything that the source is made from: files, settings, models and data versions."""
    dumps: tuple[PreparedDump, ...] = ()
    """The dumps of the source; empty if the source is cleaned in one piece."""
    left_out: tuple[str, ...] = ()
    """The steps that an estimate leaves out, because the models of these steps are missing. A run leaves out no
    steps.
    """
    across: AcrossPlace | None = None
    """How the source takes part in the dedup across sources; None if it takes no part."""

    @property
    def num_parts(self) -> int:
        """The number of parts: the output files with the source's clean documents."""
        return sum(dump.num_parts for dump in self.dumps) or scale_of(self.listing.num_bytes).num_parts
