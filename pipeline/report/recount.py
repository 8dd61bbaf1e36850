"""Computes how many documents a run with changed settings would keep. No new run is needed. The output has the signals
of the documents (numbers that the steps measured), and these are compared with the changed limits.

There are three kinds of documents:

- For most documents, the signals show whether the documents would be kept.
- Some documents would pass the stage that dropped them, but no later stage has measured them. These documents are
  counted separately. The number that would be kept is estimated: later stages are assumed to keep the same share of
  documents as in the run.
- For some documents the signals do not show whether they would be kept. For example, a step stopped counting at its
  limit, and the changed limit is larger.

If the run dropped a document that would now be kept, the document's tokens are estimated from its length
(:mod:`pipeline.report.amounts`). If the recipe divides the source by a column, documents and tokens are counted for
each part.

The results of dedups are taken from the run. This is not exact. For example, a dedup dropped a document because the run
kept a duplicate of it. The changed settings may drop the duplicate too, but the document is still counted as dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mixtures.parts import PartRule
from pipeline.report.amounts import Amounts
from pipeline.report.collect import languages_of
from pipeline.report.documents import Floats, Part, evenly, parts_of, read_part, signal_columns
from pipeline.report.output_state import RunState, SourceState
from pipeline.report.part_of import PartsOf
from pipeline.report.recount_remarks import told_of_amounts, told_of_cutoffs
from pipeline.report.rejudge import AS_IT_WAS, KEPT, UNKNOWN, Change, Documents, judge, why_unknown
from pipeline.report.token_counts import TokenCounts
from pipeline.sources.dedup_steps import DedupStep
from pipeline.tokenize.held_out import HeldOut

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Recount:
    """Holds the numbers of documents of a source that would be kept or dropped with changed settings."""

    source: str
    kept_before: int = 0
    still_kept: int = 0
    fall: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of documents that the run kept and the new settings drop, by (stage, reason)."""
    come_back: Counter[str] = field(default_factory=Counter)
    """Maps each stage to a number of documents: those that the stage dropped in the run but would now pass. The
    verdicts of later stages are unknown."""
    surely_back: int = 0
    """The number of documents in ``come_back`` that the last stage had dropped. No later stage can drop them."""
    other_reason: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of documents whose stage or drop reason changes, by the new (stage, reason)."""
    unknown_kept: Counter[str] = field(default_factory=Counter)
    """Maps each stage to a number of documents: those that the run kept but that this stage might drop with the new
    settings."""
    unknown_dropped: Counter[str] = field(default_factory=Counter)
    pass_share: dict[str, float] = field(default_factory=dict)
    """Maps each stage to the share of its kept documents that also passed all later stages in the run."""
    tokens_before: int = 0
    tokens_kept: int = 0
    has_tokens: bool = True
    amounts: Amounts = field(default_factory=Amounts)
    """The documents and tokens by part of the mixture, without those that are held out for validation."""
    remarks: list[str] = field(default_factory=list)
    share_read: float = 1.0

    @property
    def least(self) -> int:
        """The number of documents that are certainly kept."""
        return self.still_kept + self.surely_back

    @property
    def most(self) -> int:
        """The largest number of documents that could be kept."""
        unknown = self.unknown_kept.total() + self.unknown_dropped.total()
        return self.still_kept + self.come_back.total() + unknown

    @property
    def likely(self) -> float:
        """The estimated number of kept documents.

        The estimate makes two assumptions. First, if a document now passes the stage that dropped it, later stages keep
        it with the same probability as other documents in the run. Second, if the signals do not show the new verdict
        on a document, it is kept or dropped as in the run.
        """
        back = sum(number * self.pass_share.get(stage, 1.0) for stage, number in self.come_back.items())
        return self.still_kept + self.unknown_kept.total() + back

    @property
    def likely_tokens(self) -> int:
        """The estimated tokens of the kept documents. If the run dropped a document that would now be kept, its tokens
        are estimated from its length.
        """
        return round(self.tokens_kept + self.amounts.tokens_back)


def recount(state: RunState, name: str, changes: Sequence[Change], *, share: float = 1.0) -> Recount:
    """Returns the numbers of documents that a source would keep and drop after the given changes of settings.

    Args:
        share: the share of the output's files to read. The caller can scale the numbers up with :func:`scaled`.
    """
    one = state.source(name)
    assert one is not None
    parts = len(parts_of(state.layout.clean(name))) or 1
    found = Recount(name, share_read=_num_chosen(parts, share) / parts, pass_share=_pass_shares(one))
    found.remarks += [f"the signals do not suffice: {why}" for why in map(why_unknown, changes) if why]
    _run(state, one, changes, found, share)
    found.amounts.finish(found.pass_share)
    found.remarks += [
        *told_of_cutoffs(changes),
        *told_of_amounts(found.amounts, _rule(state, name), has_tokens=found.has_tokens),
    ]
    if found.fall or found.come_back.total() or found.unknown_kept:
        _remark_dedups(found, one, changes)
    return found


def _pass_shares(one: SourceState) -> dict[str, float]:
    """Returns one share per stage: how many of the documents that the stage kept also passed all later stages in the
    run. For the last stage the share is 1.
    """
    shares: dict[str, float] = {}
    passed = 1.0
    for row in reversed(one.stats["stages"] if one.stats else []):
        shares[row["stage"]] = passed
        passed *= row["kept"] / row["in"] if row["in"] else 1.0
    return shares


def _remark_dedups(found: Recount, one: SourceState, changes: Sequence[Change]) -> None:
    stages = one.stages
    first = min(stages.index(change.stage) for change in changes if change.stage in stages)
    assert one.source is not None
    dedups = [s.NAME for s in one.source.steps if isinstance(s, DedupStep)]
    later = [name for name in dedups if name in stages and stages.index(name) > first]
    if later:
        found.remarks.append(
            f"{', '.join(later)} would then compare other documents; their results are taken from the run"
        )


def _rule(state: RunState, name: str) -> PartRule | None:
    return state.recipe.parts.get(name) if state.recipe else None


def _run(state: RunState, one: SourceState, changes: Sequence[Change], found: Recount, share: float) -> None:
    order = {stage: place for place, stage in enumerate(one.stages)}
    parts = PartsOf(one.name, _rule(state, one.name))
    held = state.recipe.validation.get(one.name) if state.recipe else None
    held_out = HeldOut(share=held.share if held else None)
    cutoffs = changes[0].cutoffs_after if changes else one.cutoffs
    counts = TokenCounts(state, one)
    for part in _chosen(state.layout.clean(one.name), share):
        for batch in read_part(
            part,
            ["id", "language", "programming_language", "license", "signals", *counts.columns(part), *parts.columns],
        ):
            documents, numbers = _kept_documents(batch), counts.of(part, batch)
            found.has_tokens &= not bool(np.isnan(numbers).any())
            numbers = np.nan_to_num(numbers)
            alive = _count_kept(documents, changes, numbers, found)
            names = parts.of_clean(batch), parts.of_kept(batch, documents, changes)
            is_mixed = ~held_out.mask(one.name, batch.column("id"), numbers)
            found.amounts.keep(documents, numbers, names, alive, is_mixed)
    columns = ["id", "language", "stage", "reason", "detail", "signals", "url", "text"]
    for part in _chosen(state.layout.dropped(one.name), share):
        for batch in read_part(part, columns):
            rows = batch.filter(pa.array([stage in order for stage in batch.column("stage").to_pylist()], pa.bool_()))
            if rows.num_rows:
                documents = _dropped_documents(rows)
                back = _count_dropped(documents, changes, order, found)
                names_back = parts.of_dropped(rows, documents, cutoffs)
                is_mixed = ~held_out.mask(one.name, rows.column("id"), np.zeros(rows.num_rows))
                is_new = sum(back.values(), np.zeros(rows.num_rows, bool)) & ~found.amounts.keeps_language(
                    documents.languages
                )
                if is_new.any():
                    found.amounts.sample(documents, counts.of_sampled(rows, is_new))
                for stage, chosen in back.items():
                    found.amounts.come_back(documents, names_back, stage, chosen, is_mixed)


def _chosen(folder: str, share: float) -> list[Part]:
    parts = parts_of(folder)
    return evenly(parts, _num_chosen(len(parts), share))


def _num_chosen(num_parts: int, share: float) -> int:
    return max(1, round(share * num_parts))


def _kept_documents(batch: pa.RecordBatch) -> Documents:
    nothing = np.full(batch.num_rows, "", dtype=object)
    licences = batch.column("license").to_pylist() if "license" in batch.schema.names else None
    return Documents(
        stages=nothing,
        reasons=nothing,
        languages=np.array(languages_of(batch), dtype=object),
        signals=signal_columns(batch.column("signals")),
        ids=np.array(batch.column("id").to_pylist(), dtype=object),
        details=nothing,
        licences=None if licences is None else np.array(licences, dtype=object),
    )


def _dropped_documents(batch: pa.RecordBatch) -> Documents:
    has_language = "language" in batch.schema.names  # outputs of version 0.1.0 do not have the column
    languages = batch.column("language").to_pylist() if has_language else [None] * batch.num_rows
    return Documents(
        stages=np.array(batch.column("stage").to_pylist(), dtype=object),
        reasons=np.array(batch.column("reason").to_pylist(), dtype=object),
        languages=np.array([language or "" for language in languages], dtype=object),
        signals=signal_columns(batch.column("signals")),
        ids=np.array(batch.column("id").to_pylist(), dtype=object),
        details=np.array([detail or "" for detail in batch.column("detail").to_pylist()], dtype=object),
    )


def _count_kept(documents: Documents, changes: Sequence[Change], tokens: Floats, found: Recount) -> Mask:
    """Counts kept documents. Returns a mask of those that the changes do not surely drop."""
    alive: Mask = np.ones(len(documents), dtype=bool)
    unknown = np.full(len(documents), "", dtype=object)
    for change in changes:
        verdicts = judge(change, documents)
        is_unknown = alive & (verdicts == UNKNOWN) & (unknown == "")
        unknown[is_unknown] = change.stage
        fall = alive & ~np.isin(verdicts.astype(str), [KEPT, AS_IT_WAS, UNKNOWN])
        found.fall.update((change.stage, reason) for reason in verdicts[fall].tolist())
        alive &= ~fall
    is_unknown = alive & (unknown != "")
    found.unknown_kept.update(unknown[is_unknown].tolist())
    found.kept_before += len(documents)
    found.still_kept += int((alive & ~is_unknown).sum())
    found.tokens_before += int(tokens.sum())
    found.tokens_kept += int(tokens[alive].sum())
    return alive


def _count_dropped(
    documents: Documents, changes: Sequence[Change], order: Mapping[str, int], found: Recount
) -> dict[str, Mask]:
    """Counts dropped documents. Returns a mask of those that would pass the stage that dropped them, by stage."""
    last = len(order) - 1
    returned: dict[str, Mask] = {}
    places = np.array([order[stage] for stage in documents.stages.tolist()])
    open_ = np.ones(len(documents), dtype=bool)
    for change in changes:
        place = order.get(change.stage)
        if place is None:
            continue
        verdicts = judge(change, documents)
        at, after = open_ & (places == place), open_ & (places > place)
        back = at & (verdicts == KEPT)
        returned[change.stage] = back
        found.come_back[change.stage] += int(back.sum())
        found.surely_back += int(back.sum()) if place == last else 0
        is_unknown = (at | after) & (verdicts == UNKNOWN)
        found.unknown_dropped[change.stage] += int((is_unknown & at).sum())
        is_reason = ~np.isin(verdicts.astype(str), [KEPT, AS_IT_WAS, UNKNOWN])
        moved = (after | (at & (verdicts != documents.reasons))) & is_reason
        found.other_reason.update((change.stage, reason) for reason in verdicts[moved].tolist())
        open_ &= ~(at | moved)
    return returned


def scaled(found: Recount) -> Recount:
    """Returns a recount with numbers for the whole output. If only a part of the output was read, the numbers are
    scaled up, so they are estimates.
    """
    if found.share_read >= 1:
        return found
    factor = 1 / found.share_read

    found.amounts.scale(factor)

    def up(counts: Counter[Any]) -> Counter[Any]:
        return Counter({key: round(number * factor) for key, number in counts.items()})

    return replace(
        found,
        kept_before=round(found.kept_before * factor),
        still_kept=round(found.still_kept * factor),
        surely_back=round(found.surely_back * factor),
        fall=up(found.fall),
        come_back=up(found.come_back),
        other_reason=up(found.other_reason),
        unknown_kept=up(found.unknown_kept),
        unknown_dropped=up(found.unknown_dropped),
        tokens_before=round(found.tokens_before * factor),
        tokens_kept=round(found.tokens_kept * factor),
    )
