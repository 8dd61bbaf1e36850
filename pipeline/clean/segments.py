"""From a source's steps to segments: what is read once, what waits for an answer of all documents.

A *local* step needs one document. A *global* step (a dedup) needs all of them, but never their texts: small
keys travel, a verdict comes back, and the text is read again from where it was spilled. So a source's
steps are cut at the global ones into segments, and each segment is one pass over the text.
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
    """A step over all documents, with its place among the source's steps."""

    tag: int
    step: DedupStep


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


def is_local(step: AnyStep) -> TypeGuard[Step]:
    """True if the step needs one document at a time."""
    return isinstance(step, Step)


def segments(steps: Sequence[AnyStep], *, first_opens: bool = False) -> list[Segment]:
    """Cuts a source's steps into segments.

    ``first_opens``: the first one opens batches that a join has spilled, instead of reading the input.

    >>> from pipeline.sources.dedup_steps import ExactDedup, LineDedup
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
            if ask and not ask[-1].step.chains_with(step):
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


def segments_of(source: Source) -> list[Segment]:
    """Returns the segments of a source."""
    return segments(source.steps, first_opens=source.join is not None and source.join.OPENS_BATCHES)


def stage_names(source: Source) -> list[str]:
    """The stages of a source in the order documents pass them, as counted and written in ``stats``."""
    return [*(source.join.STAGES if source.join else ()), *(step.NAME for step in source.steps)]
