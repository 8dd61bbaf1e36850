"""Finds the stages that judged no document, and the scores that decide nothing.

A step writes a signal (a number that it measured) for each document that it judges. So if no document has the signals
of a stage, the stage judged no document. For example, the rules of C4 do not judge published C4, because it has already
passed them. The step ``bad_words`` judges no document if the user gave no list of words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from filters.c4.bad_words import BadWords
from filters.c4.english import C4English
from filters.c4.lines_and_pages import C4Lines, C4SentencesAfterDedup
from filters.step import Step
from pipeline.report.charts import short
from pipeline.report.collect import Collected
from pipeline.report.limits import limits_of, title_of
from pipeline.report.output_state import SourceState
from pipeline.report.remark import LOOK, Remark
from pipeline.sources.source import AnyStep

SCORES = ("language_score", "perplexity", "reference_score")
"""The signals that models compute. If all documents have the same score, the model cannot tell them apart."""
LEAST_SCORES = 20
"""The smallest number of scores that are compared. Fewer documents may have equal scores by chance."""
_SAME = 1e-3
"""Scores count as equal if they differ by less than this share of the limit. Ours: such differences are noise of the
arithmetic, and a limit that lies between two of them separates nothing."""


@dataclass(frozen=True, slots=True)
class Equal:
    """Describes a score that is the same for all documents that a stage judged."""

    stage: str
    signal: str
    count: int
    value: float
    limit: float


def not_applied(source: SourceState, found: Collected) -> dict[str, str]:
    """Returns the stages that judged no document. The result maps the name of each such stage to the reason. A stage is
    left out if no document reached it, or if it is not known whether it judged documents.
    """
    if not (found.clean.num_docs or found.dropped.num_docs):
        return {}
    steps = source.source.steps if source.source else ()
    is_published = _is_published(steps, found)
    reasons = {}
    for step in steps:
        if getattr(step, "is_for_published", None) is False and is_published:
            reasons[step.NAME] = "published C4 has already passed this rule"
        elif (signals := _signals_of(step, source)) and not any(found.values.get(one) for one in signals):
            lacking = _missing_model(step, source)
            reasons[step.NAME] = f"no {lacking} was given" if lacking else "it measured no document"
    entered = {row["stage"]: row["in"] for row in (source.stats or {"stages": ()})["stages"]}
    return {stage: why for stage, why in reasons.items() if entered.get(stage)}


def _is_published(steps: tuple[AnyStep, ...], found: Collected) -> bool:
    """True if all documents are those of published C4. The steps of C4 that measure only the documents that they judge
    then measured none.
    """
    kinds = (C4Lines, C4SentencesAfterDedup, C4English)
    signals = [limit.signal for step in steps if isinstance(step, kinds) for limit in limits_of(step, {})]
    return bool(signals) and not any(found.values.get(signal) for signal in signals)


def _signals_of(step: AnyStep, source: SourceState) -> set[str]:
    if isinstance(step, BadWords):
        return {"num_bad_words_found"}
    return {limit.signal for limit in limits_of(step, source.cutoffs)} if isinstance(step, Step) else set()


def _missing_model(step: AnyStep, source: SourceState) -> str:
    """Returns what the user would have to give so that the step judges: a list, or a model."""
    if isinstance(step, BadWords):
        return "list of words"
    needed = step.MODELS if isinstance(step, Step) else ()
    return next((model for model in needed if model not in source.about.get("models", {})), "")


def equal_scores(found: Collected) -> Iterator[Equal]:
    """Yields each score (a number that a model computes) that is the same for all documents. A limit on such a score
    cannot separate documents.
    """
    seen = set()
    for limit in found.limits:
        if limit.signal not in SCORES or (limit.stage, limit.signal) in seen:
            continue
        seen.add((limit.stage, limit.signal))
        groups = [np.concatenate(parts) for parts in found.values.get(limit.signal, {}).values() if parts]
        values = np.concatenate(groups) if groups else np.empty(0)
        if len(values) >= LEAST_SCORES and np.ptp(values) < _SAME * max(abs(limit.value), 1e-9):
            yield Equal(limit.stage, limit.signal, len(values), float(np.median(values)), limit.value)


def score_remarks(source: SourceState, found: Collected, anchor: str) -> Iterator[Remark]:
    """Yields a remark for each scored step that decided nothing."""
    for one in equal_scores(found):
        text = (
            f"{one.stage} of {source.name} decides nothing: all {one.count:,} values of the {title_of(one.signal)} are "
            f"equal ({short(one.value)}; the limit is {short(one.limit)})."
        )
        yield Remark(LOOK, text, anchor)
