"""Maps each kind of dedup to its code. To add a kind, add a file to this folder and a line to this module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.clean.dedup.across import AcrossKind
from pipeline.clean.dedup.exact import ExactKind
from pipeline.clean.dedup.kind import DedupKind
from pipeline.clean.dedup.lines import LineKind
from pipeline.clean.dedup.min_hash import MinHashKind
from pipeline.clean.dedup.near import NearKind
from pipeline.clean.dedup.passages import PassageKind
from pipeline.clean.segments import Segment
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.dedup_steps import DedupStep, ExactDedup, LineDedup, NearDedup
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.passage_step import PassageDedup
from pipeline.sources.source import AnyStep

KINDS: Mapping[type[DedupStep], DedupKind] = {
    ExactDedup: ExactKind(),
    LineDedup: LineKind(),
    PassageDedup: PassageKind(),
    NearDedup: NearKind(),
    MinHashDedup: MinHashKind(),
    AcrossDedup: AcrossKind(),
}


def kind_of(step: DedupStep) -> DedupKind:
    """Returns the implementation of a dedup."""
    return KINDS[type(step)]


def dedup_of_spilled_text(steps: Sequence[AnyStep], segment: Segment) -> DedupStep | None:
    """Returns the dedup for which line hashes are written to disk together with a segment's texts. A segment is the
    steps of one pass. Returns None if no line hashes are written.

    The texts must not change before the dedup uses the hashes. So between the segment and that dedup, there must be no
    local step (a step that works on each document alone) and no dedup that changes texts. In this example, ``a``
    changes no texts. So the result is the line dedup ``b`` for both segments before it:

    >>> from pipeline.clean.segments import segments
    >>> a, b = ExactDedup(NAME="a", reason="a", key="id"), LineDedup()
    >>> [dedup_of_spilled_text((a, b), s) == b for s in segments((a, b))]
    [True, True, False]
    """
    if segment.is_last:
        return None
    for step in steps[segment.dedups[0].tag - 1 :]:
        if not isinstance(step, DedupStep):
            return None
        if kind_of(step).spills_hashes:
            return step
        if step.edits_text:
            return None
    return None
