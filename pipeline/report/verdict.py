"""Writes a summary of a run in words. It covers the mixture, the source that limits the mixture, the largest losses,
and signs of mistakes.

The summary is at the beginning of the page. Fixed rules in this module make every sentence from the run's own numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixtures.parts import not_held_out
from mixtures.recipe import Recipe
from pipeline.models.load import ModelPath
from pipeline.report.charts import percent, short_bytes
from pipeline.report.collect import Collected
from pipeline.report.explained import limits_by_reason, reason_sentence
from pipeline.report.figures import NEARLY
from pipeline.report.judged import score_remarks
from pipeline.report.model_remarks import of_models, of_tokenizer
from pipeline.report.output_state import CLEANED, UNFINISHED, RunState, SourceState
from pipeline.report.remark import BAD, GOOD, LOOK, Remark, listed
from pipeline.report.source_remarks import of_source
from tokenizer.numbers import counted

__all__ = ["BAD", "GOOD", "LOOK", "Loss", "Remark", "forgotten", "losses", "verdict"]

NUM_LOSSES = 5
_NUM_RECORD_REASONS = 3
_FEW_DOCS = 100
_GOOD_EPOCHS = 4.0
"""Data that is repeated up to four times is nearly as good as new data (Muennighoff et al. 2023, arXiv:2305.16264)."""
_SAME_SHARE = 0.005
"""Two shares of the mixture count as equal if they differ by less than this many percentage points. Shares differ
slightly because numbers of tokens are whole numbers."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Describes the documents that a source lost for one reason."""

    source: str
    anchor: str
    stage: str
    reason: str
    count: int
    share: float
    """The lost documents, in percent of all documents of the source."""
    sentence: str


def verdict(
    state: RunState, mixture: Mapping[str, Any] | None, models: Mapping[str, ModelPath],
    collected: Sequence[tuple[SourceState, Collected]] = (),
) -> dict[str, Any]:  # fmt: skip
    """Returns the verdict of a run: remarks about the mixture, the largest losses, and what looks wrong.

    ``collected`` has what was read from the documents of each source, in the order of the page.
    """
    return {
        "mixture": list(_mixture(state, mixture)),
        "losses": losses(state),
        "records": _records(state),
        "cut": _most_cut(state),
        "wrong": sorted(_wrong(state, mixture, models, collected), key=lambda one: one.tone != BAD),
    }


def _mixture(state: RunState, mixture: Mapping[str, Any] | None) -> Iterator[Remark]:
    if state.status == UNFINISHED:
        yield Remark(BAD, "The run did not finish.")
    elif state.status == CLEANED:
        yield Remark(LOOK, "The sources are clean. Nothing was mixed yet.")
    if mixture is None:
        return
    off = [row for row in mixture["rows"] if abs(row["share"] - row["percent"]) > _SAME_SHARE]
    asked = _asked(state)
    is_short = asked is not None and mixture["tokens"] < asked[0]
    if off and forgotten(state):
        yield Remark(
            LOOK, "The shares are no longer those of the recipe, because documents left the shards.", "mixture"
        )
    elif off:
        names = ", ".join(f"{row['source']} {row['got']} % instead of {row['weight']} %" for row in off)
        yield Remark(BAD, f"The shares are not those of the recipe: {names}.", "mixture")
    elif not is_short:
        yield Remark(GOOD, "The mixture came out as asked: every source has its share of the tokens.", "mixture")
    else:
        yield Remark(GOOD, "Every source has its share of the tokens.", "mixture")
    if asked is not None and is_short:
        part = 100 * mixture["tokens"] / asked[0]
        yield Remark(LOOK, f"It is shorter than asked: {mixture['tokens']:,} tokens of the {asked[0]:,} "
                     f"{asked[1]} ({percent(part)} %).", "mixture")  # fmt: skip
    elif asked is not None:
        yield Remark(GOOD, f"It has the length {asked[1]}: {mixture['tokens']:,} tokens.", "mixture")
    without = [one.name for one in state.sources if state.recipe and one.stats and one.name not in state.recipe.weights]
    if without:
        text = f"Cleaned and not mixed, because the recipe has no weight for it: {', '.join(without)}."
        yield Remark(LOOK, text, "mixture")
    if not forgotten(state):
        yield from _limiting(mixture, is_asked=asked is not None)


def _asked(state: RunState) -> tuple[int, str] | None:
    """Returns the requested number of tokens, and a phrase that says where it was requested (a flag or the recipe).
    Returns None if the number is not known, or if nobody asked for one.
    """
    flag = state.record.get("settings", {}).get("tokens")
    if isinstance(flag, int):
        return flag, "that --tokens asks for"
    recipe: Recipe | None = state.recipe
    if recipe is None or not recipe.tokens or recipe.is_length_inherited:
        return None
    return recipe.tokens, "that the recipe asks for"


def _limiting(mixture: Mapping[str, Any], *, is_asked: bool) -> Iterator[Remark]:
    rows = [row for row in mixture["rows"] if row["limits"]]
    if not is_asked and rows and all(row["room"] is not None and row["room"] < NEARLY for row in mixture["rows"]):
        yield Remark(GOOD, "Every source is used as often as it may be.", "mixture")
        return
    if not rows:
        if mixture["is_room_known"]:
            yield Remark(GOOD, "No source limits the length.", "mixture")
        return
    names = " and ".join(f"{row['source']} ({row['epochs']} of at most {row['max_epochs']} epochs)" for row in rows)
    more = mixture["others_room"]
    rest = f" Every other source could give at least {more:.2f} times as many tokens." if more else ""
    yield Remark(LOOK, f"{names} limit{'s' if len(rows) == 1 else ''} the length.{rest}", "mixture")


def losses(state: RunState) -> list[Loss]:
    """Returns the largest losses of all sources, in descending order. A loss is the documents that a stage of a source
    dropped for one reason.
    """
    found = []
    for number, source in enumerate(state.sources):
        limits = limits_by_reason(source)
        for row in (source.stats or {"stages": ()})["stages"]:
            for reason, count in row["dropped"].items():
                if count:
                    share = 100 * count / max(1, (source.stats or {})["documents"]["in"])
                    sentence = reason_sentence(reason, limits.get((row["stage"], reason), ()))
                    found.append(Loss(source.name, f"source-{number}", row["stage"], reason, count, share, sentence))
    return sorted(found, key=lambda one: (-one.count, one.source, one.stage, one.reason))[:NUM_LOSSES]


def _records(state: RunState) -> str:
    """Returns a sentence about the input records that became no document, with the most common reasons; empty if there
    are none.
    """
    found = [(number, reason, source.name) for source in state.sources
             for reason, number in (source.stats or {"records": {}})["records"].items() if number]  # fmt: skip
    if not found:
        return ""
    most = sorted(found, key=lambda one: (-one[0], one[2], one[1]))
    names = ", ".join(f"{number:,} of {name}: {reason}" for number, reason, name in most[:_NUM_RECORD_REASONS])
    more = f" and {len(most) - _NUM_RECORD_REASONS} more" if len(most) > _NUM_RECORD_REASONS else ""
    total = sum(number for number, *_ in found)
    return f"Besides, {counted(total, 'record')} of the input became no document ({names}{more})."


def _most_cut(state: RunState) -> str:
    """Returns a sentence about the stage that removed the most text. A stage removes text by dropping or by editing
    documents.
    """
    most = (0, "", "", 0.0)
    for source in state.sources:
        for row in (source.stats or {"stages": ()})["stages"]:
            lost = row["bytes"].get("in", 0) - row["bytes"].get("kept", 0)
            most = max(most, (lost, source.name, row["stage"], 100 * lost / max(1, row["bytes"].get("in", 0))))
    lost, name, stage, share = most
    return (
        f"Most text went at {stage} of {name}: {short_bytes(lost)}, {percent(share)} % of what it took in."
        if lost
        else ""
    )


def _wrong(state: RunState, mixture: Mapping[str, Any] | None, models: Mapping[str, ModelPath],
           collected: Sequence[tuple[SourceState, Collected]]) -> Iterator[Remark]:  # fmt: skip
    for number, source in enumerate(state.sources):
        if source.stats is not None:
            yield from of_source(state, source, source.stats, f"source-{number}")
    for number, (source, found) in enumerate(collected):
        yield from score_remarks(source, found, f"source-{number}")
    yield from _of_mixture(state, mixture)
    yield from of_models(state, models)
    if mixture is not None:
        yield from of_tokenizer(state, collected)


def _of_mixture(state: RunState, mixture: Mapping[str, Any] | None) -> Iterator[Remark]:
    if mixture is None:
        return
    yield from (Remark(BAD, text, "mixture") for text in forgotten(state))
    if state.recipe and state.manifest and (none := not_held_out(state.recipe.validation, state.manifest)):
        text = f"No document is held out for validation: {listed(none)}. The share that the recipe asks for came out "
        yield Remark(LOOK, f"{text}as no document.", "mixture")
    few = [row for row in mixture["rows"] if row["available_documents"] < _FEW_DOCS and row["documents"]]
    if few:
        names = listed([f"{row['source']} {row['available_documents']:,}" for row in few])
        yield Remark(LOOK, f"Few documents: {names}. One document more or less changes what such a source teaches.",
                     "mixture")  # fmt: skip
    rare = [row for row in mixture["rows"] if 0 < row["documents"] < min(_FEW_DOCS, row["available_documents"])]
    if rare:
        names = listed([f"{row['source']} {row['documents']:,} of {row['available_documents']:,}" for row in rare])
        yield Remark(LOOK, f"Few documents in the stream: {names}. The whole share of such a source is from these.",
                     "mixture")  # fmt: skip
    often = [f"{row['source']} {row['epochs']}" for row in mixture["rows"] if row["num_epochs"] > _GOOD_EPOCHS]
    if often:
        yield Remark(LOOK, f"Repeated more than four times: {listed(often)} epochs.", "mixture")


def forgotten(state: RunState) -> list[str]:
    """Returns sentences about documents that were removed from the finished shards."""
    lines = []
    for entry in (state.manifest or {}).get("forgotten", ()):
        tokens = sum(entry.get("tokens", {}).values()) + sum(entry.get("validation_tokens", {}).values())
        why = f" ({entry['why']})" if entry.get("why") else ""
        lines.append(
            f"{counted(entry['documents'], 'document')} with {tokens:,} tokens left the shards on "
            f"{entry['when'][:10]}{why}. "
            "The numbers of tokens and shares are those of the shards now; stages, losses and documents below are "
            "those of the run before."
        )
    return lines
