"""From a source's steps to segments: what is read once, what waits for an answer of all documents.

A *local* step needs one document. A *global* step (a dedup) needs all of them, but never their texts: small
keys travel, a verdict comes back, and the text is read again from where it was spilled. So a source's
steps are cut at the global ones into segments, and each segment is one pass over the text.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from filters.step import Step
from pipeline.sources.base import AnyStep, ExactDedup, LineDedup, NearDedup, Source

BATCH_ID = struct.Struct(">III")
"""A batch's identity: unit, chunk of an unpacked unit, number in it. Big-endian, so that bytes sort as numbers."""

TAG_REF = 0
"""Behind the batch id stands a tag: 0 for the reference to the batch, else 1 + the place of the global step."""
TAG_ATTRIBUTES = 255
"""The tag of what a join says of a batch's rows."""


@dataclass(frozen=True, slots=True)
class GlobalStep:
    """A step over all documents, with its place among the source's steps."""

    tag: int
    step: ExactDedup | LineDedup | NearDedup


@dataclass(frozen=True, slots=True)
class Segment:
    """One pass over the text: apply the verdicts of the global steps before, run steps, ask the next global ones."""

    index: int
    verdicts: tuple[GlobalStep, ...]
    local: tuple[Step, ...]
    ask: tuple[GlobalStep, ...]
    """The global steps asked behind it: a chain of exact dedups, one line dedup or one near dedup; empty: the last."""
    origin: int = -1
    """The segment that spilled the batches this one opens; -1: it reads the input itself."""

    @property
    def is_last(self) -> bool:
        return not self.ask

    @property
    def spills(self) -> bool:
        """Whether documents are spilled behind it; else the next pass reads the batches that this one opened."""
        return bool(self.local) or self.index == 0 or (self.index == 1 and not self.verdicts)


def is_local(step: AnyStep) -> bool:
    return not isinstance(step, ExactDedup | LineDedup | NearDedup)


def segments(steps: Sequence[AnyStep], *, first_opens: bool = False) -> list[Segment]:
    """Cuts a source's steps into segments.

    ``first_opens``: the first one opens batches that a join has spilled, instead of reading the input.

    >>> a, b = ExactDedup(NAME="a", reason="a", key="id"), LineDedup()
    >>> [(len(s.verdicts), len(s.ask)) for s in segments((a, b))]
    [(0, 1), (1, 1), (2, 0)]
    """
    result: list[Segment] = []
    verdicts: list[GlobalStep] = []
    position = 0
    index, origin = (1, 0) if first_opens else (0, -1)
    while True:
        local = []
        while position < len(steps) and is_local(steps[position]):
            local.append(steps[position])
            position += 1
        ask: list[GlobalStep] = []
        while position < len(steps) and not is_local(steps[position]):
            step: Any = steps[position]
            if ask and not (isinstance(step, ExactDedup) and isinstance(ask[-1].step, ExactDedup)):
                break
            ask.append(GlobalStep(position + 1, step))
            position += 1
        segment = Segment(index, tuple(verdicts), tuple(local), tuple(ask), origin)  # type: ignore[arg-type]
        result.append(segment)
        if segment.is_last:
            return result
        if segment.spills:
            verdicts, origin = [], index
        verdicts += ask
        index += 1


def line_dedup_behind(steps: Sequence[AnyStep], segment: Segment) -> LineDedup | None:
    """The line dedup that a segment's documents meet with their text as it is now, if there is one.

    >>> a, b = ExactDedup(NAME="a", reason="a", key="id"), LineDedup()
    >>> [line_dedup_behind((a, b), s) == b for s in segments((a, b))]
    [True, True, False]
    """
    if segment.is_last:
        return None
    for step in steps[segment.ask[0].tag - 1 :]:
        if isinstance(step, LineDedup):
            return step
        if is_local(step):
            return None
    return None


def stage_names(steps: Sequence[AnyStep]) -> list[str]:
    """The stages of a source in the order documents pass them, as counted and written in ``stats``."""
    return [step.NAME for step in steps]


PART_NAME = "part-{:05d}-of-{:05d}.parquet"
"""The name of a file of clean or dropped documents, by its number and how many there are."""


def part_name(part: int, num_parts: int) -> str:
    """
    >>> part_name(3, 12)
    'part-00003-of-00012.parquet'
    """
    return PART_NAME.format(part, num_parts)


_STRIDE = 1_000_003
"""Between the first parts of two units: a prime over any number of parts, so that units of one batch each are dealt out
evenly too."""


def part_of(batch_id: bytes, num_parts: int) -> int:
    """The part of the output a batch goes to: a function of its identity alone.

    Dealt out in turn, not by hash: a part is what a worker does alone, and of a few batches a hash would give one part
    twice what it gives another.

    >>> sorted(part_of(BATCH_ID.pack(unit, 0, 1), 4) for unit in range(8))
    [0, 0, 1, 1, 2, 2, 3, 3]
    >>> sorted(part_of(BATCH_ID.pack(0, 0, number), 4) for number in range(1, 9))
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    unit, chunk, number = BATCH_ID.unpack(batch_id)
    return int(unit * _STRIDE + chunk + number) % num_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How a source is cut so that every worker's share is bounded, whatever the size of the input."""

    num_parts: int
    """Files of clean documents; a worker streams one."""
    num_line_buckets: int
    """Buckets of line hashes; a worker holds one, 17 bytes and a sort's working space a distinct line of a batch."""
    num_key_buckets: int
    """Buckets of document keys and join rows; a worker streams one."""


_PART_BYTES = (1 << 20, 256 << 20)
"""Between these stored bytes of input a part; 64 parts in between, so that all workers have work."""
LINES_PER_BUCKET = 250_000
_NUM_LINE_BUCKETS = (16, 8192)
"""The fewest, so that workers share them; and the most: a batch's lines (some 90,000) are cut by bucket, and with more
each line would travel on its own. Beyond 2e9 lines the buckets grow, to 12 million lines at 1e11."""
_INPUT_BYTES_PER_LINE = 15
"""A line of web text takes about 45 bytes, 15 of them in a .gz (the 500 pages of real WETs measured: 44)."""


MAX_BUCKET_LINES = 16_000_000
"""A larger bucket is parted once more on the worker's own disk, so that no process holds more lines than this."""


def lines_of_input(num_input_bytes: int) -> int:
    """About how many lines so many stored bytes of web text hold."""
    return num_input_bytes // _INPUT_BYTES_PER_LINE


def scale_of(num_input_bytes: int) -> Scale:
    """Chooses the cuts from the stored size of a source's input.

    >>> scale_of(2_500_000).num_parts, scale_of(10**12).num_parts
    (3, 3726)
    """
    part_bytes = min(max(num_input_bytes // 64, _PART_BYTES[0]), _PART_BYTES[1])
    num_parts = max(1, -(-num_input_bytes // part_bytes))
    num_lines = lines_of_input(num_input_bytes)
    return Scale(
        num_parts=num_parts,
        num_line_buckets=_power_of_two(
            min(max(num_lines // LINES_PER_BUCKET, _NUM_LINE_BUCKETS[0]), _NUM_LINE_BUCKETS[1])
        ),
        num_key_buckets=max(16, num_parts),
    )


def _power_of_two(number: int) -> int:
    """The smallest power of two that is at least the number.

    >>> _power_of_two(16), _power_of_two(17)
    (16, 32)
    """
    return 1 << (number - 1).bit_length()


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
