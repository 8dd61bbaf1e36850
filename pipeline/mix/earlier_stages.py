"""Reads where earlier mixtures (stages) ended, for a mixture that continues them.

In the new mixture, each source continues at the place where it stopped. The held-out documents and the tokenizer stay
the same.

The documents of a source form one long sequence: all documents of the first epoch, then all documents of the second,
and so on. Each epoch has its own order. A stage takes a range of this sequence, and the next stage begins after the
last document of this range. So within one epoch of a source, no document is in two stages.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

from mixtures.manifest import stage_of
from mixtures.parts import PartRule, source_of
from mixtures.plan.shares import SourceTokens
from mixtures.recipe_values import HoldOut
from mixtures.subset import Begun, Cut
from pipeline.files.files import is_local, join
from pipeline.mix.earlier_parts import Place, moved, place_of, sets_of
from pipeline.tokenize.held_out import validation_hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Holds what this mixture needs from earlier stages (the mixtures that it continues). ``Earlier()`` means that
    there are none.
    """

    seed: int | None = None
    tokenizer_sha256: str | None = None
    stages: tuple[Mapping[str, Any], ...] = ()
    """The earlier stages, oldest first, in the form in which this stage's manifest lists them."""
    epochs: Mapping[str, int] = field(default_factory=dict)
    """Maps each source to the epoch in which it continues. A divided source has one entry per part of this mixture's
    recipe.
    """
    begun: Mapping[str, Begun] = field(default_factory=dict)
    held_out: Mapping[str, HoldOut | None] = field(default_factory=dict)
    """The validation rule of each source of the earlier stages; None if nothing of the source is held out."""
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    """Maps each source to its last held-out document. A source has an entry only if the validation rule holds out a
    number of its tokens, not a share of its documents."""

    def available(self, source: str, tokens: int, documents: int, taken_tokens: int = 0) -> SourceTokens:
        """Returns the number of tokens and documents of a source, and the number of tokens that earlier stages took.

        Earlier stages may have taken the whole source several times, once per epoch. So the number of tokens that they
        took can be larger than the number of tokens of the source.
        """
        return SourceTokens(tokens, documents, self.epochs.get(source, 0) * tokens + taken_tokens)

    def rules(self, wanted: Mapping[str, HoldOut]) -> dict[str, HoldOut]:
        """Returns the validation rule of each source: how much of the source is held out.

        A source of an earlier stage keeps its rule. A new source gets the rule that ``wanted`` has for it.

        Raises:
            ValueError: the recipe has a different rule for a source of the earlier stages.
        """
        found = dict(wanted)
        for source, rule in self.held_out.items():
            if source in found and found[source] != rule:
                raise ValueError(
                    f"validation of {source} is {_said(found[source])}, and earlier stages held out {_said(rule)}: "
                    "documents that were trained on would be held out, or the other way round; leave it out of the "
                    "recipe (it stays as it was) or write the same"
                )
            if rule is not None:
                found[source] = rule
        return found


def earlier_of(
    manifest: Mapping[str, Any], folder: str, output: str, rules: Mapping[str, PartRule] | None = None
) -> Earlier:
    """Returns what a new mixture needs from the mixture that it continues.

    Args:
        manifest: the manifest of the earlier mixture.
        folder: the output folder of the earlier mixture.
        output: the output folder of the new mixture.
        rules: the rules by which the new mixture's recipe divides sources into parts.

    Raises:
        ValueError: the documents of a part may have stopped at different places; or an earlier version of the pipeline
            made the earlier mixture, and did not record where each source ends.
    """
    seed = int(manifest["seed"])
    places: dict[str, tuple[Place, ...]] = {}
    held_out: dict[str, HoldOut | None] = {}
    cuts: dict[str, Cut] = {}
    for stage in (*manifest.get("stages", []), manifest):
        new: dict[str, list[Place]] = {}
        for name, line in stage["sources"].items():
            source = source_of(name)
            if "end_epoch" not in line:
                raise ValueError(
                    f"--continue-from {folder}: it was made by an earlier version, which did not note where its "
                    "sources end; delete its manifest.json and run its own command again, which makes the same shards"
                )
            begun = None
            if line["end_document"] is not None:
                begun = Begun.at(seed, source, line["end_epoch"], line["end_document"])
            values = sets_of(source, stage.get("parts", {}).get(source))[name]
            new.setdefault(source, []).append(Place(values, line["end_epoch"], begun))
            held_out[source] = _rule(line["held_out"])
            if "last_document" in line["held_out"]:
                cuts[source] = _cut(source, line["held_out"]["last_document"])
        places |= {source: moved(places.get(source, ()), found) for source, found in new.items()}
    now = _places_now(places, rules or {})
    stages = [{**one, "path": _moved(one["path"], folder, output)} for one in manifest.get("stages", [])]
    return Earlier(
        seed=seed,
        tokenizer_sha256=manifest["tokenizer"]["sha256"],
        stages=(*stages, stage_of(manifest, _relative(folder, output))),
        epochs={name: place.epoch for name, place in now.items()},
        begun={name: place.begun for name, place in now.items() if place.begun is not None},
        held_out=held_out,
        cuts=cuts,
    )


def _places_now(places: Mapping[str, tuple[Place, ...]], rules: Mapping[str, PartRule]) -> dict[str, Place]:
    """Returns the place at which each source or part of this mixture continues. Sources and parts that no stage used
    are left out.
    """
    found = {
        name: place_of(name, values, of_source)
        for source, of_source in places.items()
        for name, values in sets_of(source, rules.get(source)).items()
    }
    return {name: place for name, place in found.items() if place is not None}


def _rule(said: Mapping[str, Any]) -> HoldOut | None:
    if "share" in said:
        return HoldOut(share=Decimal(said["share"]))
    return HoldOut(tokens=said["tokens"]) if "tokens" in said else None


def _cut(source: str, last_document: str) -> Cut:
    """Returns the cut of a source. The held-out documents are those up to the cut, in the order of their hashes.
    ``last_document`` is the last of them.

    Whole documents are held out, so the token counts of the cut have no meaning.
    """
    (last_hash,) = validation_hashes(source, pa.array([last_document])).tolist()
    return Cut(last_hash=last_hash, last_doc_id=last_document, last_doc_tokens_kept=1, last_doc_tokens=1)


def _said(rule: HoldOut | None) -> str:
    if rule is None:
        return "nothing"
    return f"share {rule.share}" if rule.share is not None else f"{rule.tokens:,} tokens"


def _relative(folder: str, output: str) -> str:
    """Returns the path of ``folder`` relative to ``output``. If one of them is a URL, returns ``folder`` unchanged."""
    return os.path.relpath(folder, output) if is_local(folder) and is_local(output) else folder


def _moved(path: str, folder: str, output: str) -> str:
    """Converts a path relative to ``folder`` to a path relative to ``output``.

    URLs and absolute paths are returned unchanged.
    """
    if not is_local(path) or os.path.isabs(path):
        return path
    return _relative(os.path.normpath(join(folder, path)) if is_local(folder) else join(folder, path), output)
