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
from pipeline.models.trained import UNKNOWN, described, doubts
from pipeline.report.charts import percent, short_bytes
from pipeline.report.explained import limits_by_reason, reason_sentence
from pipeline.report.figures import NEARLY
from pipeline.report.output_state import CLEANED, UNFINISHED, RunState, SourceState
from pipeline.report.run_models import TINY_BYTES, num_bytes_of, used_models
from pipeline.settings.dedup_settings import ceilings_of
from pipeline.settings.settings import RunLimits
from pipeline.sources.across_step import ACROSS
from pipeline.sources.min_hash_step import MinHashDedup

GOOD, LOOK, BAD = "good", "look", "bad"
NUM_LOSSES = 5
_MANY = 0.9
"""If a step drops a larger share than this, a remark says that something looks wrong. The limit is our choice: even
CCNet's perplexity step drops only 40 %."""
_HALF = 0.5
_LEAST_DOCS = 20
"""The smallest number of documents for which a remark about a share is made. With fewer documents, a share says nothing
about a step."""
_FEW_DOCS = 100
_NEAR = 0.5
"""A remark is made if a number reaches this share of a limit at which the run stops. Such limits are those on bad
records, on unreadable files, and on the documents that a near dedup removes."""
_GOOD_EPOCHS = 4.0
"""Data that is repeated up to four times is nearly as good as new data (Muennighoff et al. 2023, arXiv:2305.16264)."""
_SAME_SHARE = 0.005
"""Two shares of the mixture count as equal if they differ by less than this many percentage points. Shares differ
slightly because numbers of tokens are whole numbers."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Holds a sentence of the verdict."""

    tone: str
    text: str
    anchor: str = ""
    """The place on the page where the numbers are; empty if there is none."""


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


def verdict(state: RunState, mixture: Mapping[str, Any] | None, models: Mapping[str, ModelPath]) -> dict[str, Any]:
    """Returns the verdict of a run: remarks about the mixture, the largest losses, and what looks wrong."""
    return {
        "mixture": list(_mixture(state, mixture)),
        "losses": losses(state),
        "cut": _most_cut(state),
        "wrong": sorted(_wrong(state, mixture, models), key=lambda one: one.tone != BAD),
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


def _wrong(state: RunState, mixture: Mapping[str, Any] | None, models: Mapping[str, ModelPath]) -> Iterator[Remark]:
    for number, source in enumerate(state.sources):
        if source.stats is not None:
            yield from _of_source(state, source, source.stats, f"source-{number}")
    yield from _of_mixture(state, mixture)
    yield from _of_models(state, models)


def _of_source(state: RunState, source: SourceState, stats: Mapping[str, Any], anchor: str) -> Iterator[Remark]:
    name, read, kept = source.name, stats["documents"]["in"], stats["documents"]["kept"]
    if read and not kept:
        yield Remark(BAD, f"{name} kept none of its {read:,} documents.", anchor)
    if not read:
        yield Remark(BAD, f"{name} has no document.", anchor)
    for row in stats["stages"]:
        lost = sum(row["dropped"].values())
        if row["in"] != row["kept"] + lost:
            yield Remark(BAD, f"The numbers of {row['stage']} of {name} do not add up.", anchor)
        share = lost / row["in"] if row["in"] else 0.0
        if row["in"] >= _LEAST_DOCS and share > _HALF:
            text = f"{row['stage']} drops {percent(100 * share)} % of the documents of {name} that reach it"
            yield Remark(BAD if share > _MANY else LOOK, f"{text} ({lost:,} of {row['in']:,}).", anchor)
    yield from _near_ceilings(state, name, stats, source.about, anchor)


def _near_ceilings(
    state: RunState, name: str, stats: Mapping[str, Any], about: Mapping[str, Any], anchor: str
) -> Iterator[Remark]:
    run: Mapping[str, Any] = state.record.get("settings", {}).get("run", {})
    known = RunLimits()
    records = stats["documents"]["in"] + stats.get("bad_records", 0)
    files = about.get("inputs", {}).get("files", 0)
    for what, count, total, most, share in (
        ("records are bad", stats.get("bad_records", 0), records, "max_bad_records", "max_bad_share"),
        ("files could not be read", stats.get("unreadable_files", 0), files, "max_unreadable_files",
         "max_unreadable_share"),
    ):  # fmt: skip
        most_value, share_value = (float(run.get(key, getattr(known, key))) for key in (most, share))
        # A run stops if both limits are passed, so the one that is further away counts.
        used = min(count / max(most_value, 1.0), count / max(share_value * total, 1.0))
        if used >= _NEAR:
            yield Remark(LOOK, f"{name}: {count:,} {what} of {total:,}; the run stops at more than {most_value:,.0f} "
                         f"and {100 * share_value:g} %.", anchor)  # fmt: skip
    ceilings = ceilings_of(state.record.get("settings", {}).get("dedup"))
    for row in stats["stages"]:
        lost = sum(row["dropped"].values())
        part = lost / row["in"] if row["in"] else 0.0
        is_counted = row["stage"] in (MinHashDedup().NAME, ACROSS) and row["in"] >= ceilings.min_documents
        if is_counted and part >= _NEAR * ceilings.max_removed_share:
            ceiling = f"the ceiling is {100 * ceilings.max_removed_share:g} %"
            yield Remark(LOOK, f"{row['stage']} removed {percent(100 * part)} % of {name}; {ceiling}.", anchor)


def _of_mixture(state: RunState, mixture: Mapping[str, Any] | None) -> Iterator[Remark]:
    if mixture is None:
        return
    yield from (Remark(BAD, text, "mixture") for text in forgotten(state))
    if state.recipe and state.manifest and (none := not_held_out(state.recipe.validation, state.manifest)):
        text = f"No document is held out for validation: {_listed(none)}. The share that the recipe asks for came out "
        yield Remark(LOOK, f"{text}as no document.", "mixture")
    few = [row for row in mixture["rows"] if row["available_documents"] < _FEW_DOCS and row["documents"]]
    if few:
        names = _listed([f"{row['source']} {row['available_documents']:,}" for row in few])
        yield Remark(LOOK, f"Few documents: {names}. One document more or less changes what such a source teaches.",
                     "mixture")  # fmt: skip
    often = [f"{row['source']} {row['epochs']}" for row in mixture["rows"] if row["num_epochs"] > _GOOD_EPOCHS]
    if often:
        yield Remark(LOOK, f"Repeated more than four times: {_listed(often)} epochs.", "mixture")
    wanted = (state.recipe.tokenizer or {}).get("vocab_size") if state.recipe else None
    pieces = (state.manifest or {}).get("tokenizer", {}).get("vocab_size")
    if isinstance(wanted, int) and isinstance(pieces, int) and pieces < wanted:
        yield Remark(LOOK, f"The tokenizer has {pieces:,} pieces, not {wanted:,}: its text was too small.", "ran")


def _listed(names: Sequence[str]) -> str:
    """Returns names as a list for a sentence, joined with commas and "and".

    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def forgotten(state: RunState) -> list[str]:
    """Returns sentences about documents that were removed from the finished shards."""
    lines = []
    for entry in (state.manifest or {}).get("forgotten", ()):
        tokens = sum(entry.get("tokens", {}).values()) + sum(entry.get("validation_tokens", {}).values())
        why = f" ({entry['why']})" if entry.get("why") else ""
        what = "document" if entry["documents"] == 1 else "documents"
        lines.append(
            f"{entry['documents']:,} {what} with {tokens:,} tokens left the shards on {entry['when'][:10]}{why}. "
            "The numbers of tokens and shares are those of the shards now; stages, losses and documents below are "
            "those of the run before."
        )
    return lines


def _of_models(state: RunState, models: Mapping[str, ModelPath]) -> Iterator[Remark]:
    for key, used in used_models(state).items():
        if key not in ("perplexity", "reference"):
            continue
        name, files = str(used.get("name", key)), used.get("files", ())
        unknown = [file for file in files if described(file) == UNKNOWN]
        size = num_bytes_of(models[key]) if key in models else sum(file["bytes"] for file in files)
        if found := doubts(files):
            why = "; ".join(found)
            yield Remark(LOOK, f"The model of {key} is tiny: {why}. Its limits say little about other text.", "ran")
        elif (unknown or not files) and 0 < size < TINY_BYTES:
            yield Remark(LOOK, f"The model of {key} is tiny ({name}, {short_bytes(size)}): its limits say little about "
                         "other text.", "ran")  # fmt: skip
        elif unknown:
            names = _listed([str(file["name"]) for file in unknown])
            yield Remark(LOOK, f"It is unknown how much text the model of {key} was trained on: nothing beside {names} "
                         "says so.", "ran")  # fmt: skip
