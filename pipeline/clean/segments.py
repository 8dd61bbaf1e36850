"""Splits the steps of a source into segments at its dedups, because a dedup needs keys of all documents.

A *local* step decides about one document at a time. A *global* step (a dedup) compares all documents of the source. It
does not get the texts. Each document sends small keys and gets a verdict back, while the document's text stays on disk.
So the steps are split at the global steps. Each segment is one pass over the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from filters.step import Step
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.source import AnyStep, Source


@dataclass(frozen=True, slots=True)
class GlobalStep:
    """Holds a dedup and its tag. The tag is a number that marks the dedup's verdicts (decisions)."""

    tag: int
    """The tag: the position of the step among the steps of the source, counted from 1. It marks the step's verdicts."""
    step: DedupStep


@dataclass(frozen=True, slots=True)
class Segment:
    """Describes one pass over the texts. The pass applies the verdicts of the dedups before it, runs steps that look at
    one document at a time, and sends keys to the next dedups.
    """

    index: int
    verdicts: tuple[GlobalStep, ...]
    """The global steps whose verdicts are applied first."""
    local: tuple[Step, ...]
    dedups: tuple[GlobalStep, ...]
    """The global steps that the segment sends keys to: either exact dedups that follow each other (a chain), or one
    dedup of another kind. The last segment has no dedups.
    """
    origin: int = -1
    """The index of the earlier segment whose spilled batches this segment opens. The index is -1 if this segment reads
    the input."""

    @property
    def is_last(self) -> bool:
        """True if the segment writes the output."""
        return not self.dedups

    @property
    def spills(self) -> bool:
        """True if the pass writes its documents to disk for a later pass. The value has no meaning for the last pass,
        which writes the output.

        A pass spills if it has local steps, or if it is the first pass that has documents. Any other pass only applies
        verdicts and sends keys. It does not spill: the next pass opens the same batches and applies the same verdicts
        again.
        """
        return bool(self.local) or self.index == 0 or (self.index == 1 and not self.verdicts)


def is_local(step: AnyStep) -> TypeGuard[Step]:
    """True if the step decides about one document at a time."""
    return isinstance(step, Step)


def segments(steps: Sequence[AnyStep], *, first_opens: bool = False) -> list[Segment]:
    """Splits the steps of a source into segments.

    ``first_opens`` is True if the first segment opens batches that a join has spilled, instead of reading the input.

    The example has two dedups and so three segments. It shows two numbers for each segment: the number of dedups whose
    verdicts the segment applies, and the number of dedups to which it sends keys.

    >>> from pipeline.sources.dedup_steps import ExactDedup, LineDedup
    >>> a, b = ExactDedup(NAME="a", reason="a", key="id"), LineDedup()
    >>> [(len(s.verdicts), len(s.dedups)) for s in segments((a, b))]
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
        dedups: list[GlobalStep] = []
        while position < len(steps) and not is_local(steps[position]):
            step: Any = steps[position]
            if dedups and not dedups[-1].step.chains_with(step):
                break
            dedups.append(GlobalStep(position + 1, step))
            position += 1
        segment = Segment(index, tuple(verdicts), tuple(local), tuple(dedups), origin)  # type: ignore[arg-type]
        result.append(segment)
        if segment.is_last:
            return result
        if segment.spills:
            verdicts, origin = [], index
        verdicts += dedups
        index += 1


def segments_of(source: Source) -> list[Segment]:
    """Returns the segments of a source: its steps, split at the dedups."""
    return segments(source.steps, first_opens=source.join is not None and source.join.OPENS_BATCHES)


def stage_names(source: Source) -> list[str]:
    """Returns the names of a source's stages: first the stages of its join, then its steps.

    ``stats/SOURCE.json`` uses these names.
    """
    return [*(source.join.STAGES if source.join else ()), *(step.NAME for step in source.steps)]
