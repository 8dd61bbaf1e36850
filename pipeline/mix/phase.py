"""Runs the mix phase: makes the plan from the token counts, runs the jobs, and writes the manifest last.

A mixture can continue earlier mixtures. Then each of these mixtures is called a stage.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from apache_beam.io.filesystems import FileSystems

from mixtures.manifest import NAME as MANIFEST
from mixtures.manifest import NEW_MANIFEST, SourceEnd, build_manifest, dumps, had_fingerprint, loads
from mixtures.parts import PartRule, names_of, part_name, source_of
from mixtures.plan.deal import plan
from mixtures.plan.shares import Plan, PlanError, SourceTokens
from mixtures.recipe_values import HoldOut
from mixtures.shards import ShardInfo, ShardMetadata, num_shards, shard_name, write_shard
from mixtures.stages import beside
from mixtures.subset import Cut
from pipeline.files.checked import read_checked
from pipeline.files.files import delete_tree, exists, join, read_bytes, write_bytes, written_whole
from pipeline.files.spill import Shuffle
from pipeline.mix.earlier_stages import Earlier, earlier_of
from pipeline.mix.job import CountJob, MixJob, SourceShare
from pipeline.output.paths import Layout
from pipeline.settings.settings import Settings
from pipeline.tokenize.held_out import HeldOut
from pipeline.tokenize.phase import token_marker, token_parts
from tokenizer.encode import Encoder


@dataclass(frozen=True, slots=True)
class Counted:
    """Holds the number of tokens that are held out for validation, and the number left for training, by source."""

    held_out: Mapping[str, HeldOut]
    held_tokens: Mapping[str, int]
    """Maps each source to its number of held-out tokens. As in ``available``, a divided source has one entry per part
    instead.
    """
    available: Mapping[str, SourceTokens]
    held_rules: Mapping[str, HoldOut] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Maps each divided source to the counts of its parts, in the form of the statistics."""
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Maps each divided source to the most common values of the column that divides it, with their numbers of
    documents."""

    def about_held_out(self) -> dict[str, dict[str, Any]]:
        """Returns the manifest's entries about the held-out documents.

        A later stage needs these entries to continue the mixture.
        """
        said: dict[str, dict[str, Any]] = {}
        for source, rule in self.held_rules.items():
            cut = self.held_out[source].cut
            said[source] = (
                {"share": str(rule.share)} if cut is None else {"tokens": rule.tokens, "last_document": cut.last_doc_id}
            )
        return said


def count(settings: Settings, layout: Layout, sources: list[str], run_count: Callable[[CountJob], None],
          earlier: Earlier | None = None) -> Counted:  # fmt: skip
    """Determines the validation documents, and counts their tokens and the remaining tokens. Returns the counts.

    Documents that an earlier stage held out stay held out.
    """
    earlier = earlier or Earlier()
    tokens = {s: token_marker(layout, s)["tokens"] for s in sources}
    rules = {s: r for s, r in earlier.rules(settings.recipe.validation).items() if tokens.get(s)}
    cuts = {s: c for s, c in earlier.cuts.items() if s in rules}
    divided = {s: rule for s, rule in settings.recipe.parts.items() if s in sources}
    begun = {name: b for name, b in earlier.begun.items() if source_of(name) in sources}
    too_many = [s for s, r in rules.items() if r.tokens is not None and r.tokens >= tokens[s] and s not in cuts]
    if too_many:
        s = too_many[0]
        raise ValueError(
            f"validation: {rules[s].tokens:,} tokens of {s} are to be held out, it has {tokens[s]:,} in all"
        )
    markers = {s: token_marker(layout, s) for s in sources}
    if not begun and not divided and all(_was_counted(markers[s], rules.get(s)) for s in sources):
        return Counted(
            held_out={s: HeldOut(share=rules[s].share if s in rules else None) for s in sources},
            held_tokens={s: m["held_tokens"] for s, m in markers.items()},
            available={
                s: earlier.available(s, m["tokens"] - m["held_tokens"], m["documents"] - m["held_documents"])
                for s, m in markers.items()
            },
            held_rules=rules,
        )
    result_path = join(layout.work, "held-out.json")
    delete_tree(result_path)
    job = CountJob(
        parts=token_parts(layout, sources),
        shares={s: r.share for s, r in rules.items() if r.share is not None},
        wanted_tokens={s: r.tokens for s, r in rules.items() if r.tokens is not None and s not in cuts},
        result_path=result_path,
        cuts=cuts,
        begun=begun,
        seed=settings.seed,
        rules=divided,
    )
    run_count(job)
    found = json.loads(read_checked(result_path))
    cuts |= {s: Cut(**c) for s, c in found["cuts"].items()}
    return Counted(
        held_out={s: HeldOut(share=job.shares.get(s), cut=cuts.get(s)) for s in sources},
        held_tokens={s: c.get("held_tokens", 0) for s, c in found["sources"].items()},
        available={
            s: earlier.available(s, c.get("tokens", 0), c.get("documents", 0), c.get("taken_tokens", 0))
            for s, c in found["sources"].items()
        },
        held_rules=rules,
        parts={s: _about_parts(s, rule, found) for s, rule in divided.items()},
        values=found["values"],
    )


def _about_parts(source: str, rule: PartRule, found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the statistics of a divided source: the numbers of documents and tokens of each part, and of the
    documents that belong to no part.

    The numbers include held-out documents.
    """
    values = {}
    for value in rule.weights:
        own = found["sources"][part_name(source, value)]
        values[value] = {n: own.get(n, 0) + own.get(f"held_{n}", 0) for n in ("documents", "tokens")}
    left_out = found["left_out"][source]
    documents = sum(one["documents"] for one in values.values()) + left_out["documents"]
    return {"by": rule.by, "documents": documents, "values": values, "left_out": left_out}


def _was_counted(marker: Mapping[str, Any], rule: HoldOut | None) -> bool:
    """True if the tokenize phase has already counted the documents that this rule holds out.

    That phase counts them if the rule is a share of the documents. If the rule is a number of tokens, all tokens must
    be counted before it is known which documents are held out.
    """
    share = None if rule is None or rule.share is None else str(rule.share)
    return (rule is None or rule.tokens is None) and marker["validation_share"] == share


def read_earlier(settings: Settings) -> Earlier:
    """Returns what this mixture needs from the mixture that it continues.

    Raises:
        ValueError: the earlier mixture is not complete; a stage that it continues is missing or was replaced; or the
            settings have a different seed.
    """
    folder = settings.continue_from
    if folder is None:
        return Earlier()
    path = join(folder, MANIFEST)
    if not exists(path):
        raise ValueError(f"--continue-from {folder}: there is no {MANIFEST}, so no mixture was finished there")
    manifest = loads(read_bytes(path), path)
    if read_whole_manifest(Layout(folder)) is None:
        raise ValueError(
            f"--continue-from {folder}: a shard is gone or was changed (python -m mixtures.verify {folder})"
        )
    for stage in manifest.get("stages", []):
        there = join(beside(folder, stage["path"]), MANIFEST)
        found = loads(read_bytes(there), there) if exists(there) else None
        if found is None or not had_fingerprint(found, stage["fingerprint"]):
            raise ValueError(
                f"--continue-from {folder}: its earlier stage in {stage['path']} "
                f"{'was replaced by another mixture' if found else 'is not there'}, so what it used is not known"
            )
    if settings.seed not in (0, manifest["seed"]):
        raise ValueError(
            f"--seed {settings.seed}: {folder} has seed {manifest['seed']}, by which its documents were chosen; a "
            "mixture that continues it has the same (leave out --seed)"
        )
    return earlier_of(manifest, folder, settings.output, settings.recipe.parts)


def make_plan(settings: Settings, counted: Counted) -> Plan:
    """Returns the plan: how many tokens each source contributes.

    Raises PlanError if there are too few tokens, or if the recipe names a part that has no documents. The message says
    what is missing.
    """
    available = {s: a for s, a in counted.available.items() if source_of(s) in settings.recipe.weights}
    lacking = [n for n, a in available.items() if source_of(n) != n and not a.tokens]
    if lacking and settings.recipe.missing == "error":
        source = source_of(lacking[0])
        there = ", ".join(f"{value} ({n:,})" for value, n in counted.values[source].items() if value) or "none"
        raise PlanError(
            f"{', '.join(lacking)}: no document in {source} for training has this {settings.recipe.parts[source].by}; "
            f"the most common values, with their documents, are {there}; take it out of the recipe, or set "
            f"mixture.missing to share to give its share to the other parts of {source}"
        )
    return plan(settings.recipe, available, settings.num_tokens)


def mix_job(settings: Settings, layout: Layout, encoder: Encoder, made: Plan, counted: Counted, *,
            shuffle: Shuffle, progress_dir: str | None, earlier: Earlier | None = None) -> MixJob:  # fmt: skip
    """Returns the job that shuffles all documents and writes the shards. The plan (``made``) decides how many tokens of
    each source the job takes."""
    sources = [s.source for s in made.sources]
    target, width = settings.recipe.shards.target_bytes, encoder.dtype.itemsize
    held = Counter[str]()
    for name in sources:
        held[source_of(name)] += counted.held_tokens.get(name, 0)
    of_sources = list(dict.fromkeys(map(source_of, sources)))
    metadata = ShardMetadata(
        recipe=made.recipe,
        seed=settings.seed,
        tokenizer_sha256=encoder.sha256,
        vocab_size=encoder.vocab_size,
        bos_id=encoder.bos_id,
        eos_id=encoder.eos_id,
    )
    return MixJob(
        parts=token_parts(layout, of_sources),
        shares={
            s.source: SourceShare(
                whole_epochs=s.whole_epochs,
                remainder_tokens=s.remainder_tokens,
                held_out=counted.held_out[source_of(s.source)],
                first_epoch=s.first_epoch,
                begun=earlier.begun.get(s.source) if earlier else None,
            )
            for s in made.sources
        },
        source_names=tuple(sorted(n for s in settings.recipe.weights for n in names_of(settings.recipe.parts, s))),
        seed=settings.seed,
        num_shards=num_shards(made.tokens, width, target),
        num_validation_shards={s: num_shards(n, width, target) for s, n in held.items() if n},
        output=layout.output,
        vocab_size=encoder.vocab_size,
        metadata=asdict(metadata),
        result_path=join(layout.work, "mixed.json"),
        shuffle=shuffle,
        progress_dir=progress_dir,
        rules={s: settings.recipe.parts[s] for s in of_sources if s in settings.recipe.parts},
    )


def write_mixture(job: MixJob, layout: Layout, run_mix: Callable[[MixJob], None]) -> dict[str, Any]:
    """Deletes the old mixture, and runs the job that writes the new one.

    Returns the job's result: the shards, and the cuts (where the last epoch of each source ends).
    """
    delete_tree(layout.marker("mix"))
    delete_tree(join(layout.output, NEW_MANIFEST))  # what a killed mixtures.forget has left is about the old shards
    for path in (layout.manifest, job.result_path, join(layout.output, "shards"), join(layout.output, "validation")):
        delete_tree(path)
    run_mix(job)
    found: dict[str, Any] = json.loads(read_checked(job.result_path))
    written = {s["key"] for s in found["shards"]}
    for key in range(job.num_shards):  # a shard without documents is written as an empty file
        if key not in written:
            path = "shards/" + shard_name("train", key, job.num_shards)
            found["shards"].append({"key": key, "info": asdict(_empty_shard(job, path)), "documents": {}})
    found["shards"].sort(key=lambda s: s["key"])
    return found


def _empty_shard(job: MixJob, path: str) -> ShardInfo:
    with written_whole(join(job.output, path)) as sink:
        metadata = ShardMetadata(**job.metadata)  # type: ignore[arg-type]
        return write_shard(sink, [], path=path, sources=job.source_names, metadata=metadata)


def manifest_of(made: Plan, job: MixJob, encoder: Encoder, found: Mapping[str, Any], *, about: Mapping[str, Any],
                counted: Counted, stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # fmt: skip
    """Returns the manifest of the shards that were written. Raises an error if the shards differ from the plan."""
    train = [s for s in found["shards"] if s["key"] < job.num_shards]
    documents = {s.source: sum(t["documents"].get(s.source, 0) for t in train) for s in made.sources}
    held_out = counted.about_held_out()
    validation: dict[str, list[ShardInfo]] = {}
    for shard in found["shards"]:
        if shard["key"] >= job.num_shards:
            source = shard["info"]["path"].removeprefix("validation/").rsplit("-", 3)[0]
            validation.setdefault(source, []).append(ShardInfo(**shard["info"]))
    return build_manifest(
        plan=made,
        seed=job.seed,
        encoder=encoder,
        shards=[ShardInfo(**s["info"]) for s in train],
        documents=documents,
        ends={s: SourceEnd(c["last_doc_id"], is_cut=c["is_cut"]) for s, c in found["cuts"].items()},
        validation=validation,
        about={**about, "parts": {s: _about_manifest(one) for s, one in counted.parts.items()}},
        held_out={s.source: held_out.get(source_of(s.source), {}) for s in made.sources},
        stages=stages,
    )


def _about_manifest(counted: Mapping[str, Any]) -> dict[str, Any]:
    return {"by": counted["by"], "values": list(counted["values"]), "left_out": counted["left_out"]}


def read_whole_manifest(layout: Layout) -> dict[str, Any] | None:
    """Returns the manifest of a mixture. Returns None if there is no manifest, if a shard is missing, or if the size of
    a shard differs from the manifest.
    """
    if not exists(layout.manifest):
        return None
    try:
        manifest = loads(read_bytes(layout.manifest), layout.manifest)
    except ValueError:
        return None
    held = [shard for one in manifest["validation"].values() for shard in one["shards"]]
    wanted = {join(layout.output, s["path"]): s["bytes"] for s in (*manifest["shards"], *held)}
    folders = [join(layout.output, name, "*.arrow") for name in ("shards", "validation")]
    found = {m.path: m.size_in_bytes for result in FileSystems.match(folders) for m in result.metadata_list}
    return manifest if found == wanted else None


def write_manifest(layout: Layout, manifest: Mapping[str, Any]) -> None:
    """Writes the manifest. It is the last file of a mixture, so a mixture with a manifest is complete."""
    write_bytes(layout.manifest, dumps(manifest).encode())
