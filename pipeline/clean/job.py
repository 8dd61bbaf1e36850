"""The clean job of one source or of one dump of it: what it cleans, how it is sized, and where its files go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.clean.batch_address import part_name
from pipeline.clean.sizing import Scale
from pipeline.settings.dedup_settings import RemovalCeilings
from pipeline.sources.source import Source


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The key files of a dump: the documents that won an exact dedup, with their keys. A newer dump reads them."""

    step: str
    folder: str
    num_keys: int = 0
    """The number of keys in all files, known once the dump is complete. A newer dump must read as many."""

    def path(self, bucket: int) -> str:
        """
        >>> KeyFiles("digest", "keys").path(1)
        'keys/part-digest-00001.arrow'
        """
        return f"{self.folder}/part-{self.step}-{bucket:05d}.arrow"

    @property
    def glob(self) -> str:
        """A pattern that matches all of them. A bucket without a key has no file."""
        return f"{self.folder}/part-{self.step}-*.arrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSizes:
    """How a job is split, and how much of what it drops is kept."""

    scale: Scale
    sample_docs: int
    """Dropped documents per stage and reason that keep their text."""
    dropped_share: float = 1.0
    """The share of the other dropped documents that get a row in ``dropped/``."""
    first_part: int = 0
    """The number of the job's first part among those of its source."""
    num_source_parts: int | None = None
    """The number of parts of the whole source; None if the job is the whole source."""

    @property
    def num_parts_in_names(self) -> int:
        """The number after ``of`` in the names of the job's parts."""
        return self.scale.num_parts if self.num_source_parts is None else self.num_source_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlaces:
    """The paths of a job's files."""

    units_path: str
    """The list of units to read."""
    marker: str
    """Written last: it makes the job complete."""
    stats_path: str
    clean_dir: str
    dropped_dir: str
    keys_dir: str | None = None
    """The folder for key files; None if the source is not cleaned dump by dump."""
    evidence_dir: str = ""
    """The folder for the evidence of near dedups."""
    spill_dir: str = ""
    """Texts are spilled here. It is known once the run has its workplace."""
    shuffle_dir: str | None = None
    """Groups are spilled here; None if the engine shuffles them itself."""
    progress_dir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceJob:
    """Everything that a worker must know about one source, or about one dump of it."""

    source: Source
    fingerprint: str
    """Identifies inputs, settings, models and data versions. The marker holds it."""
    models: Mapping[str, Any]
    """Paths of the models, by key."""
    sizes: JobSizes
    places: JobPlaces
    dump: str = ""
    """The dump to clean; empty for the whole source."""
    earlier_keys: tuple[KeyFiles, ...] = ()
    """The key files of earlier dumps that are complete."""
    ceilings: RemovalCeilings = field(default_factory=RemovalCeilings)
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest reports about inputs and models."""

    @property
    def label(self) -> str:
        """The name of the job's part of the graph."""
        return f"{self.source.name}@{self.dump}" if self.dump else self.source.name

    def part_path(self, folder: str, part: int) -> str:
        """Returns the path of one of the job's parts, counted from 0, in ``clean/`` or ``dropped/``."""
        return f"{folder}/{part_name(self.sizes.first_part + part, self.sizes.num_parts_in_names)}"

    def evidence_path(self, step: str, kind: str, number: int, num_files: int) -> str:
        """Returns the path of a file of evidence: ``pairs``, or a sample of the ``rejected`` ones."""
        return f"{self.places.evidence_dir}/{kind}-{self.label}-{step}-{number:05d}-of-{num_files:05d}.parquet"

    def key_files(self, step: str) -> KeyFiles:
        """Returns the key files that the job writes for an exact dedup."""
        assert self.places.keys_dir is not None, "only the job of a dump has key files"
        return KeyFiles(step, self.places.keys_dir)
