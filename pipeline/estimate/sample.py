"""Estimates documents, tokens and CPU time of a source from a small part of its input. If the source is divided into
parts, also estimates the documents and tokens of each part.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from filters.step import Step
from mixtures.parts import PartRule, part_name
from pipeline.clean.batches import BASE_COLUMNS
from pipeline.clean.prepared_source import PreparedSource
from pipeline.clean.segments import is_local
from pipeline.clean.sizing import scale_of
from pipeline.estimate.read_unit import Sampled, Sampler, TokenCount, assumed_tokens, runner_of
from pipeline.scale.costs import ELEMENT_SECONDS
from pipeline.scale.rates import clean_mb_per_s, mix_mb_per_s
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.source import UNKNOWN_FORM, AnyStep, Unit

SAMPLE_SECONDS = 20.0
"""Documents of a source are read for this many seconds (our choice)."""
_UNITS = 16
"""The largest number of units that are read from a source. A unit is a piece of the input. The units are spread over
the input, because files differ.
"""


@dataclass(frozen=True, slots=True)
class PartEstimate:
    """Holds the estimate of one part of a divided source. Like the estimate of the source, it is scaled up to the whole
    input.
    """

    num_docs: float
    num_tokens: int
    error: float | None
    """The standard error of ``num_tokens``, divided by ``num_tokens``, as in `SourceEstimate`."""


@dataclass(frozen=True, slots=True)
class SourceEstimate:
    """Holds the estimate of a source, scaled up from a part of the input."""

    source: str
    num_files: int
    num_units: float
    input_bytes: float
    num_parts: int
    """The number of files of clean documents."""
    read_bytes: int
    num_docs: float
    text_bytes: float
    num_tokens: int
    cpu_hours: float
    """The CPU hours to clean the source, and to tokenize and mix one epoch of it. The hours are computed from the
    measured speeds of whole runs (``pipeline/scale/rates.json``). If the source was not measured, the time to clean it
    is computed from the filters' time in this estimate."""
    error: float | None
    """The standard error of ``text_bytes``, divided by ``text_bytes``. The error is computed from the differences
    between the units that were read. It is 0 if the whole input was read. Otherwise it is None if fewer than two units
    were read, or if no text was found."""
    dedups: tuple[str, ...]
    """The dedups of the source. An estimate cannot foresee what they drop, so the numbers of documents, bytes and
    tokens are upper bounds, unless ``may_keep_more`` names a step.
    """
    may_keep_more: tuple[str, ...]
    """The steps that may keep documents that they drop in the estimate. They come after a dedup that removes lines or
    passages, so in a run they judge other texts. If there are any, the numbers are not bounds.
    """
    ngram_key_bytes: float
    """The total size in bytes of the keys that documents send to near dedups."""
    left_out: tuple[str, ...]
    """Steps that were not run, because their models are missing."""
    is_unknown: bool
    """True if no document was found in the part that was read."""
    is_unfiltered: bool
    """True if no filters were run, because the source has a join that needs tables without documents (such as GitHub's
    licences). An estimate does not read these tables. Then the numbers of documents and of bytes are upper bounds."""
    parts: Mapping[str, PartEstimate]
    """The estimates of a divided source's parts, by the name of the part, in the order of the recipe. Empty if the
    source is not divided. Also empty if a step that an estimate does not run fills the dividing column: a join, a
    dedup, or a step whose model is missing."""

    @property
    def is_bound(self) -> bool:
        """True if the numbers of documents, bytes and tokens are upper bounds, because some steps were not run."""
        return self.is_unfiltered or (bool(self.dedups or self.left_out) and not self.may_keep_more)


def estimate_source(
    made: PreparedSource, *, times: float = 1.0, count: TokenCount | None = None, rule: PartRule | None = None
) -> SourceEstimate:
    """Reads a few units for a few seconds, runs the filters on their documents, and scales the numbers up by bytes.

    Some steps, such as the dedups, are not run. If `SourceEstimate.is_bound` is True, the estimated numbers of
    documents, bytes and tokens are therefore upper bounds.

    Args:
        times: the size of the real input, divided by the size of the given input. All numbers are multiplied by this
            quotient.
        count: a function that counts the tokens of texts. The default assumes four bytes per token.
        rule: the rule by which the recipe divides the source into parts; None if the source is not divided.
    """
    skipped = made.source.join.SIDE_TABLES if made.source.join else frozenset()
    units = [u for u in made.units if u.kind.partition(".")[0] not in (*skipped, UNKNOWN_FORM)] or list(made.units)
    is_unfiltered = bool(skipped) and len(units) < len(made.units)
    runner = runner_of(made, with_steps=not is_unfiltered)
    if rule is not None and (is_unfiltered or not _has_column(made, rule.by)):
        rule = None
    sampler = Sampler(made, runner, count or assumed_tokens, rule)
    chosen = _spread(units)
    deadline = time.monotonic() + SAMPLE_SECONDS
    sampled: list[tuple[Sampled, float]] = []
    for number, (unit, weight) in enumerate(chosen):
        left = deadline - time.monotonic()
        if left <= 0 and sampled:
            break
        until = time.monotonic() + left / (len(chosen) - number)
        sampled.append((sampler.sample(unit, until), weight))
    total, read = sum(u.num_bytes for u in units), sum(one.read_bytes for one, _ in sampled)
    factor = times * total / max(sum(weight for _, weight in sampled), 1e-9)
    num_docs, text, num_tokens, given, seconds = (
        factor * sum(weight * one.per_byte[kind] for one, weight in sampled) for kind in range(5)
    )
    dedups = tuple(step for step in made.source.steps if not is_local(step))
    rate = None if made.source.declared else clean_mb_per_s(made.source.name)
    clean = given / 1e6 / rate if rate else seconds + num_docs * len(dedups) * ELEMENT_SECONDS
    size = int(made.listing.num_bytes * times)
    return SourceEstimate(
        source=made.source.name,
        num_files=len(made.listing.files),
        num_units=len(made.units) * times,
        input_bytes=made.listing.num_bytes * times,
        num_parts=sum(d.num_parts for d in made.dumps) if made.dumps and times == 1 else scale_of(size).num_parts,
        read_bytes=read,
        num_docs=num_docs,
        text_bytes=text,
        num_tokens=round(num_tokens),
        cpu_hours=(clean + text / 1e6 / mix_mb_per_s()) / 3600,
        error=relative_error([(weight, one.per_byte[1]) for one, weight in sampled], read / max(total, 1)),
        dedups=tuple(step.NAME for step in dedups),
        may_keep_more=() if is_unfiltered else _may_keep_more(made.source.steps),
        ngram_key_bytes=sum(step.key_bytes(num_docs, text) for step in dedups if isinstance(step, DedupStep)),
        left_out=made.left_out,
        is_unknown=not any(one.num_docs for one, _ in sampled),
        is_unfiltered=is_unfiltered,
        parts=_parts(sampler.rule, made.source.name, sampled, factor, read / max(total, 1)),
    )


def _may_keep_more(steps: Sequence[AnyStep]) -> tuple[str, ...]:
    """Returns the names of the steps that judge texts after a dedup that removes parts of texts, and that may keep a
    shortened text although they drop the whole text.

    >>> from pipeline.sources import SOURCES
    >>> _may_keep_more(SOURCES["common_crawl"].steps), _may_keep_more(SOURCES["books"].steps)
    (('language', 'perplexity', 'reference'), ())
    """
    first = next((i for i, s in enumerate(steps) if isinstance(s, DedupStep) and s.edits_text), len(steps))
    later = [step for step in steps[first:] if isinstance(step, Step)]
    return tuple(step.NAME for step in later if step.REASONS and not step.IS_BLIND_TO_CUTS)


def _has_column(made: PreparedSource, by: str) -> bool:
    """True if an estimate can see ``by``, the column whose values divide the source into parts.

    An estimate does not run joins, dedups and steps whose models are missing. It cannot see a column that such a join,
    dedup or step fills.
    """
    source = made.source
    if source.join is not None and source.join.KEY_COLUMNS:
        return by in source.join.KEY_COLUMNS
    local = [step for step in source.steps if is_local(step)]
    names = {*BASE_COLUMNS, *source.reader.COLUMNS, *(name for step in local for name in step.COLUMNS)}
    return by in names or (by == "host" and "url" in names)


def _parts(
    rule: PartRule | None, source: str, sampled: Sequence[tuple[Sampled, float]], factor: float, share_read: float
) -> dict[str, PartEstimate]:
    """Returns the estimate of each part of a source, by name."""
    found = {}
    for name in (part_name(source, value) for value in rule.weights) if rule is not None else ():
        per_byte = [
            (weight, one.part_docs.get(name, 0) / max(one.read_bytes, 1),
             one.part_tokens.get(name, 0.0) / max(one.read_bytes, 1)) for one, weight in sampled
        ]  # fmt: skip
        found[name] = PartEstimate(
            num_docs=factor * sum(weight * docs for weight, docs, _ in per_byte),
            num_tokens=round(factor * sum(weight * tokens for weight, _, tokens in per_byte)),
            error=relative_error([(weight, tokens) for weight, _, tokens in per_byte], share_read),
        )
    return found


def relative_error(sampled: Sequence[tuple[float, float]], share_read: float) -> float | None:
    """Returns the standard error of an estimate, divided by the estimate. Returns None if the error cannot be computed,
    because there are fewer than two units or the estimate is 0.

    The formula assumes that larger units are chosen more often, in proportion to their bytes (Hansen and Hurwitz;
    Cochran, Sampling Techniques, 3rd ed., section 9A.3). It is corrected for a finite population: if the whole input
    was read, the error is 0.

    Args:
        sampled: one tuple per unit: (weight of the unit, bytes of text per stored byte). For the error of a number of
            tokens, the second value is tokens per stored byte.
        share_read: the share of the input that was read, in bytes.

    The first error is 0 because all units have the same amount of text per byte. The second error is 0 because the
    whole input was read.

    >>> relative_error([(10, 0.5), (10, 0.5), (10, 0.5)], 0.2), relative_error([(10, 0.5), (10, 0.9)], 1.0)
    (0.0, 0.0)
    >>> round(relative_error([(10, 0.5), (10, 0.9)], 0.0), 2)
    0.29
    """
    if share_read >= 1.0:
        return 0.0
    n, total = len(sampled), sum(weight for weight, _ in sampled)
    mean = sum(weight * density for weight, density in sampled) / total if total else 0.0
    if n < 2 or not mean:
        return None
    variance = sum(weight * (density - mean) ** 2 for weight, density in sampled) / total / (n - 1)
    return math.sqrt(variance * (1 - share_read)) / mean


def _spread(units: Sequence[Unit]) -> list[tuple[Unit, float]]:
    """Chooses the units to read. Returns each chosen unit with a weight.

    If there are at most `_UNITS` units, all are chosen. The weight of a unit is its number of bytes.

    If there are more units, the input is divided into `_UNITS` stretches of equal size in bytes. A unit is chosen if it
    contains the middle of a stretch, so large units are more likely to be chosen. The weight of a unit is the number of
    middles that it contains.
    """
    if len(units) <= _UNITS:
        return [(unit, float(unit.num_bytes)) for unit in units]
    total, done, found = sum(u.num_bytes for u in units), 0, []
    if not total:
        return [(unit, 1.0) for unit in units[:_UNITS]]
    for unit in units:
        before, done = done, done + unit.num_bytes
        hits = int(_UNITS * done / total + 0.5) - int(_UNITS * before / total + 0.5)
        if hits:
            found.append((unit, float(hits)))
    return found
