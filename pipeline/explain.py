"""Prints what a run will do with a source: how often the run reads the source's text (each time is a pass), and which
keys each pass sends to the dedups.

python -m pipeline.run --explain books
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from pipeline.clean.dumps import comes_in_dumps
from pipeline.clean.segments import GlobalStep, Segment, segments_of
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.source import AnyStep, Source

_WIDTH = 110
_MARGIN = 8


def explain(source: Source) -> str:
    """Returns a text with one paragraph per pass of the clean phase over a source. The last paragraph names the jobs
    that follow.

    This is the paragraph about the second pass over Wikipedia:

    >>> from pipeline.sources import SOURCES
    >>> print(explain(SOURCES["wikipedia"]).split("\\n\\n")[2])
    pass 2  transform: pass_1_write
            opens the documents that pass 1 spilled
            applies the verdicts of duplicate_id: may drop the document
            writes clean/wikipedia
    """
    found = segments_of(source)
    passes = "1 pass" if len(found) == 1 else f"{len(found)} passes"
    head = f"{source.name}: {len(source.steps)} steps, {passes} over the text (job: clean)"
    numbers = {segment.index: number for number, segment in enumerate(found, start=1)}
    paragraphs = [_paragraph(f"pass {numbers[s.index]}", _pass(s, source, numbers)) for s in found]
    return "\n\n".join([head, *paragraphs, _paragraph("after", _after(source))])


def _paragraph(title: str, lines: Iterator[str]) -> str:
    wrapped = [part for line in lines for part in textwrap.wrap(line, _WIDTH - _MARGIN, subsequent_indent="  ")]
    margins = [title, *[""] * (len(wrapped) - 1)]
    return "\n".join(margin.ljust(_MARGIN) + line for margin, line in zip(margins, wrapped, strict=True))


def _pass(segment: Segment, source: Source, numbers: Mapping[int, int]) -> Iterator[str]:
    """Yields the lines about one pass, and about the dedups to which the pass sends keys."""
    if segment.origin in numbers:
        yield f"transform: {_label(segment, source)}"
        yield f"opens the documents that pass {numbers[segment.origin]} spilled"
    else:
        yield from _read(segment, source)
    for global_step in segment.verdicts:
        yield f"applies the verdicts of {global_step.step.NAME}: {_effect(global_step.step)}"
    for step in segment.local:
        yield f"runs {step.NAME}: {_effect(step)}"
    if segment.is_last:
        yield f"writes clean/{source.name}"
        return
    yield "spills the documents" if segment.spills else "spills nothing: the next pass opens the same documents again"
    for global_step in segment.dedups:
        yield f"sends to {global_step.step.NAME}, {global_step.step.travels}"
    yield f"transform: dedup_{segment.dedups[0].step.NAME}"
    yield _decides(segment.dedups)


def _read(segment: Segment, source: Source) -> Iterator[str]:
    if source.reader.CONTAINERS:
        yield "transform: unpack"
        kinds = ", ".join(sorted(source.reader.CONTAINERS))
        yield f"unpacks containers into chunks that are read in parallel (kinds of units: {kinds})"
    if source.join is None:
        yield f"transform: {_label(segment, source)}"
        yield "reads the input"
    else:
        yield from source.join.EXPLAINED
    if segment.index:
        yield f"transform: {_label(segment, source)}"


def _label(segment: Segment, source: Source) -> str:
    """Returns the name of a pass in the Beam graph. ``pipeline.clean.source_graph`` uses the same name."""
    if segment.index == 0:
        return source.join.FIRST_PASS if source.join else "read"
    names = [step.NAME for step in segment.local] or ["hash" if segment.dedups else "write"]
    return f"pass_{segment.index}_{names[0]}"


def _effect(step: AnyStep) -> str:
    drops = "may drop the document"
    if isinstance(step, DedupStep):
        return f"may remove {step.parts}, {drops}" if step.edits_text else drops
    effect = drops if step.REASONS else "drops nothing"
    return f"{effect} (needs the model {', '.join(step.MODELS)})" if step.MODELS else effect


def _decides(asked: Sequence[GlobalStep]) -> str:
    if len(asked) == 1:
        return f"decides {asked[0].step.NAME} for all documents"
    *others, last = (g.step.NAME for g in asked)
    return f"decides {', '.join(others)}, then {last}, for all documents"


def _after(source: Source) -> Iterator[str]:
    yield "writes dropped/ and stats/ (transforms: dropped, finish)"
    yield (
        "the jobs that follow: tokenize, count (if documents are held out for validation), mix; each reads the files "
        "of the job before it, see pipeline/graph.py"
    )
    if any(isinstance(step, AcrossDedup) for step in source.steps):
        yield "writes the index of the documents that stay into dedup/index; its job waits for the sources before it"
    if comes_in_dumps(source):
        yield "every dump is cleaned by itself; its exact dedups also read the keys of earlier dumps"
