"""The clean job of one source, or of one dump of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.clean.batch_address import part_name
from pipeline.clean.sizing import Scale
from pipeline.sources.source import Source


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The files in which a dump's documents stand that won an exact dedup, with their keys: a newer dump asks them."""

    step: str
    folder: str
    num_keys: int = 0
    """Known of a dump that is whole: so many must be read."""

    def path(self, bucket: int) -> str:
        """
        >>> KeyFiles("digest", "keys").path(1)
        'keys/part-digest-00001.arrow'
        """
        return f"{self.folder}/part-{self.step}-{bucket:05d}.arrow"

    @property
    def glob(self) -> str:
        """What matches all of them; a bucket without a key has none."""
        return f"{self.folder}/part-{self.step}-*.arrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceJob:
    """All a worker must know of one source, or of one dump of it: its settings, its cut, and where things go."""

    source: Source
    scale: Scale
    units_path: str
    """The list of its units."""
    marker: str
    """Where the marker goes that makes the source's step whole."""
    fingerprint: str
    """Of its inputs, settings, models and data versions: what the marker holds."""
    stats_path: str
    models: dict[str, Any]
    """Paths of the models by their key."""
    spill_dir: str
    clean_dir: str
    dropped_dir: str
    shuffle_dir: str | None
    """Where groups are spilled; None: the engine's own shuffle."""
    sample_docs: int
    dump: str = ""
    """The dump that this is about; empty: all of the source."""
    first_part: int = 0
    """The number of its first part among the source's."""
    num_source_parts: int | None = None
    """Parts of the whole source; None: those of the job."""
    keys_dir: str | None = None
    """Where its key files go; None: no newer dump will ask."""
    earlier_keys: tuple[KeyFiles, ...] = ()
    """Those of the dumps before it that are whole."""
    dropped_share: float = 1.0
    """Of what is dropped this share gets a row in the ledger, besides the sample."""
    progress_dir: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest says of its inputs and models."""

    @property
    def label(self) -> str:
        """What its part of the graph is called."""
        return f"{self.source.name}@{self.dump}" if self.dump else self.source.name

    def part_path(self, folder: str, part: int) -> str:
        """The file of clean or dropped documents of its part."""
        num_parts = self.scale.num_parts if self.num_source_parts is None else self.num_source_parts
        return f"{folder}/{part_name(self.first_part + part, num_parts)}"

    def key_files(self, step: str) -> KeyFiles:
        """Those that it writes for an exact dedup."""
        assert self.keys_dir is not None, "nobody asks for them"
        return KeyFiles(step, self.keys_dir)
