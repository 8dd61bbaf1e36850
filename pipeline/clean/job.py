"""Defines the job that cleans a source or a dump: its input, its numbers of parts and buckets, and its paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.clean.batch_address import part_name
from pipeline.clean.sizing import Scale
from pipeline.files.spill import Shuffle
from pipeline.settings.dedup_settings import RemovalCeilings
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.source import Source


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Describes the key files that one exact dedup writes for a dump. A newer dump reads these files.

    Each row of a key file has a key, and the id of the document that is kept for this key.
    """

    step: str
    folder: str
    num_keys: int = 0
    """The number of keys in all files together, known when the dump is complete. A newer dump must read exactly this
    number."""

    def path(self, bucket: int) -> str:
        """Returns the path of the key file of a bucket.

        >>> KeyFiles("digest", "keys").path(1)
        'keys/part-digest-00001.arrow'
        """
        return f"{self.folder}/part-{self.step}-{bucket:05d}.arrow"

    @property
    def glob(self) -> str:
        """The pattern that matches all key files of this dump and this dedup. A bucket without keys has no file, so the
        files are found by this pattern.
        """
        return f"{self.folder}/part-{self.step}-*.arrow"


@dataclass(frozen=True, slots=True)
class KeptIndex:
    """Describes the index of an earlier source. The index has the keys of the documents that the earlier source keeps.
    A job compares its own documents with these keys.

    The index has one file per file of clean documents, and one row per document, in the same order.
    """

    source: str
    output: str
    """The name of the output folder that has the earlier source. Empty if this is the output folder of the run."""
    index_dir: str
    clean_dir: str
    num_parts: int
    fingerprint: str = ""
    """The fingerprint of the clean documents."""
    num_bytes: int = 0
    """The size in bytes of the input that the source was made from."""

    def path(self, part: int) -> str:
        """Returns the path of one file of the index."""
        return f"{self.index_dir}/{part_name(part, self.num_parts)}"

    def clean_path(self, part: int) -> str:
        """Returns the path of the clean file whose documents are in file ``part`` of the index."""
        return f"{self.clean_dir}/{part_name(part, self.num_parts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSizes:
    """Says how many parts and buckets a job has, and how many of the dropped documents get a row in ``dropped/``."""

    scale: Scale
    sample_docs: int
    """The largest number of dropped documents whose text is stored, per stage and reason."""
    dropped_share: float = 1.0
    """All dropped documents in the sample get a row in ``dropped/``. This is the share of the other dropped documents
    that get a row, from 0 to 1."""
    is_compiled: bool = False
    """True if steps use compiled loops instead of NumPy, because the input is large. Steps that have no compiled loops
    are not affected. The results are the same, so this field is not part of the fingerprint."""
    first_part: int = 0
    """The number of the job's first part among the parts of its source."""
    num_source_parts: int | None = None
    """The number of parts of the whole source; None if the job is the whole source."""

    @property
    def num_parts_in_names(self) -> int:
        """The number after ``of-`` in the names of the job's parts. It is the number of parts of the whole source."""
        return self.scale.num_parts if self.num_source_parts is None else self.num_source_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlaces:
    """Holds the paths of a job's files."""

    units_path: str
    """The path of the list of units to read."""
    marker: str
    """The path of the marker. The marker is written last and makes the job complete."""
    stats_path: str
    clean_dir: str
    dropped_dir: str
    evidence_dir: str | None = None
    """The folder for evidence (passages of evaluation sets found in documents); None if no step searches for such
    passages.
    """
    keys_dir: str | None = None
    """The folder for key files; None if the source is not cleaned dump by dump."""
    index_dir: str | None = None
    """The folder for the index of the clean documents; None if no later source is compared with them."""
    pairs_dir: str = ""
    """The folder for the document pairs that near dedups found."""
    spill_dir: str = ""
    """The folder for spilled texts. This field is filled in later, when the run has a folder for temporary files."""
    shuffle: Shuffle = field(default_factory=lambda: Shuffle(""))
    """Says whether groups are shuffled through files or by the engine. This field is filled in later, like
    ``spill_dir``."""
    progress_dir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceJob:
    """Holds everything that a worker needs to know about one source, or about one dump of a source."""

    source: Source
    fingerprint: str
    """A hash of inputs, settings, models and data versions. The marker stores this hash."""
    models: Mapping[str, Any]
    """Paths of the models, by key."""
    sizes: JobSizes
    places: JobPlaces
    dump: str = ""
    """The name of the dump to clean; empty for the whole source."""
    earlier_keys: tuple[KeyFiles, ...] = ()
    """The key files of the earlier dumps that are complete."""
    kept: tuple[KeptIndex, ...] = ()
    """The indexes with which the documents are compared, in the order of their sources."""
    index_step: AcrossDedup | None = None
    """The step whose settings determine the content of the index; None if the job writes no index."""
    ceilings: RemovalCeilings = field(default_factory=RemovalCeilings)
    """The largest shares of documents that a near dedup may remove."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's entry about the source's input and models."""

    @property
    def label(self) -> str:
        """The name of the job in the graph: ``SOURCE``, or ``SOURCE@DUMP``."""
        return f"{self.source.name}@{self.dump}" if self.dump else self.source.name

    def part_path(self, folder: str, part: int) -> str:
        """Returns the path of an output part in a folder, for example in ``clean/`` or ``dropped/``.

        ``part`` is the part's number within the job, from 0.
        """
        return f"{folder}/{part_name(self.sizes.first_part + part, self.sizes.num_parts_in_names)}"

    def pairs_path(self, step: str, kind: str, number: int, num_files: int) -> str:
        """Returns the path of a file in which a near dedup lists pairs of documents. ``kind`` is ``pairs`` or
        ``rejected``.
        """
        return f"{self.places.pairs_dir}/{kind}-{self.label}-{step}-{number:05d}-of-{num_files:05d}.parquet"

    def key_files(self, step: str) -> KeyFiles:
        """Returns the key files that the job writes for an exact dedup."""
        assert self.places.keys_dir is not None, "only the job of a dump has key files"
        return KeyFiles(step, self.places.keys_dir)
