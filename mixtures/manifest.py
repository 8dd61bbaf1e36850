"""Builds, writes and reads the manifest of a run's output. The pipeline writes the manifest, and trainers read it.

An output is complete when it has a ``manifest.json``. This file is written last, under a temporary name, and is then
renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixtures.manifest_form import FORMAT, check_form
from mixtures.plan.shares import Plan, SourcePlan
from mixtures.shards import ShardInfo
from mixtures.storage import Storage, storage_of
from tokenizer.codec import FILE_NAMES
from tokenizer.encode import Encoder
from tokenizer.os_errors import check_is_folder

NAME = "manifest.json"
NEW_MANIFEST = ".manifest.forget.json"
"""The name of a temporary file of ``mixtures.forget``. It holds the new manifest, and lists the shards to rename
under ``renames``. It is deleted when all these shards are renamed.
"""


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """Describes the document at which the last, partial epoch of a source ends. The documents of an epoch are in the
    order of their hashes."""

    document: str
    is_cut: bool
    """True if the document lost tokens at its end."""


def build_manifest(
    *,
    plan: Plan,
    seed: int,
    encoder: Encoder,
    shards: Sequence[ShardInfo],
    documents: Mapping[str, int],
    ends: Mapping[str, SourceEnd],
    validation: Mapping[str, Sequence[ShardInfo]],
    about: Mapping[str, Any],
    held_out: Mapping[str, Mapping[str, Any]] | None = None,
    stages: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Builds the manifest of a finished mixture.

    Args:
        plan: the token plan.
        seed: determines which documents are chosen, and their order.
        encoder: the tokenizer that made the ids.
        shards: the training shards, in the order of their names.
        documents: the number of rows of each source, summed over all shards.
        ends: for each source whose last epoch is partial, the document in which this epoch ends.
        validation: the shards of held-out documents, by source.
        about: values that are copied into the manifest unchanged. Every key is optional: ``created``, ``software``,
            ``models``, ``inputs``, ``base_recipe``, ``trained`` (the sample on which the tokenizer was trained),
            ``decontamination`` (the evaluation sets that were searched for), and ``parts`` (for each source that is
            divided: the column ``by``, its ``values``, and what is ``left_out``).
        held_out: how much of each source is held out for validation: a ``share``, or a number of ``tokens``. For
            ``tokens``, the documents are held out in the order of their hashes, until ``last_document``.
        stages: the descriptions of earlier stages by :func:`stage_of`, in the order of the training.

    Raises:
        ValueError: the shards do not contain the planned tokens.
    """
    _check_totals(plan, shards, documents)
    return {
        "format": FORMAT,
        "recipe": plan.recipe,
        "seed": seed,
        "fingerprint": fingerprint_of(encoder.sha256, shards),
        "created": about.get("created"),
        "software": dict(about.get("software", {})),
        "tokenizer": _tokenizer_line(encoder, about.get("trained")),
        "models": dict(about.get("models", {})),
        "tokens": plan.tokens,
        "documents": sum(documents.values()),
        "sources": {
            s.source: {
                **_source_line(s, plan, documents[s.source], ends.get(s.source)),
                "held_out": dict((held_out or {}).get(s.source, {})),
            }
            for s in plan.sources
        },
        "validation": {
            source: {
                "documents": sum(shard.rows for shard in held),
                "tokens": sum(shard.tokens for shard in held),
                "shards": [asdict(shard) for shard in held],
            }
            for source, held in validation.items()
        },
        "shards": [asdict(shard) for shard in shards],
        "inputs": dict(about.get("inputs", {})),
        **({"decontamination": about["decontamination"]} if about.get("decontamination") else {}),
        **{key: about[key] for key in ("base_recipe", "parts") if about.get(key)},
        **({"stages": list(stages)} if stages else {}),
    }


def _tokenizer_line(encoder: Encoder, trained: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "path": encoder.file_name,
        "sha256": encoder.sha256,
        "vocab_size": encoder.vocab_size,
        "bos_id": encoder.bos_id,
        "eos_id": encoder.eos_id,
        **({"settings": said} if (said := encoder.settings.said()) else {}),
        **({"trained": dict(trained)} if trained else {}),
    }


def _source_line(source: SourcePlan, plan: Plan, documents: int, end: SourceEnd | None) -> dict[str, Any]:
    """Returns the manifest's entry about one source: its documents and tokens in the stream."""
    return {
        "weight": float(source.weight),
        "share": round(float(plan.share(source.source)), 6),
        "tokens": source.tokens,
        "documents": documents,
        "available_tokens": source.available_tokens,
        "available_documents": source.available_documents,
        "epochs": round(float(source.epochs), 6),
        "cut_document": end.document if end is not None and end.is_cut else None,
        "begin_epoch": source.first_epoch,
        "end_epoch": source.whole_epochs,
        "end_document": end.document if end is not None else None,
    }


def stage_of(manifest: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Returns the entry by which the manifest of a later training stage describes this output.

    The entry contains the fingerprint of the shards instead of the list of shards.

    Args:
        path: the folder of this stage as a URL, or as a path relative to the later stage's folder.
    """
    copied = {key: manifest[key] for key in ("recipe", "seed", "fingerprint", "tokens", "documents", "sources")}
    copied |= {key: manifest[key] for key in ("parts",) if key in manifest}
    held = {s: {k: v for k, v in one.items() if k != "shards"} for s, one in manifest["validation"].items()}
    return {"path": path, **copied, "validation": held}


def fingerprint_of(tokenizer_sha256: str, shards: Sequence[ShardInfo]) -> str:
    """Returns a checksum of everything that a loader reads: the tokenizer, and the bytes of the shards in their order.

    Shards without tokens are left out, because a loader does not read them.
    """
    parts = [tokenizer_sha256, *(shard.sha256 for shard in shards if shard.tokens)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def had_fingerprint(manifest: Mapping[str, Any], fingerprint: str) -> bool:
    """Returns True if the shards have this fingerprint, or had it before documents were removed from them."""
    own = fingerprint_of(manifest["tokenizer"]["sha256"], shard_infos(manifest))
    return fingerprint in (own, *(one["fingerprint_before"] for one in manifest.get("forgotten", [])))


def dumps(manifest: Mapping[str, Any]) -> str:
    """Returns the text of ``manifest.json``: one line per value, keys in a fixed order."""
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: str | Path | Storage) -> dict[str, Any]:
    """Reads the ``manifest.json`` of an output folder, which may be local or in an object store.

    Raises:
        ValueError: the file does not exist (the run did not finish), or this version cannot read it.
    """
    storage = storage_of(folder) if isinstance(folder, str | Path) else folder
    path = storage.place(NAME)
    try:
        data = storage.read(NAME)
    except FileNotFoundError:
        if not storage.is_remote:
            check_is_folder(os.path.dirname(path))
        raise ValueError(f"{path} is not there: this is no output of a finished run{_above(storage, path)}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    return loads(data, path)


def _above(storage: Storage, path: str) -> str:
    """Returns the end of a message: the output to give, if the folder is one inside an output."""
    parent = os.path.dirname(os.path.dirname(os.path.abspath(path)))
    is_output = not storage.is_remote and os.path.isfile(os.path.join(parent, NAME))
    return f"; it is a folder of the output {os.path.relpath(parent)}, so give that" if is_output else ""


def loads(data: bytes, path: str) -> dict[str, Any]:
    """Parses the bytes of a manifest. Error messages name `path`.

    Raises:
        ValueError: the bytes are not a manifest that this version can read.
    """
    try:
        manifest = json.loads(data.decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    check_form(manifest, path)
    return dict(manifest)


def tokenizer_name(manifest: Mapping[str, Any]) -> str:
    """Returns the name of the tokenizer's file in the output folder. Each kind of tokenizer file has a different
    name.
    """
    said = manifest["tokenizer"].get("path")
    return said if said in FILE_NAMES else FILE_NAMES[0]


def shard_infos(manifest: Mapping[str, Any]) -> list[ShardInfo]:
    """Returns the training shards that a manifest lists."""
    return [ShardInfo(**one) for one in manifest["shards"]]


def validation_infos(manifest: Mapping[str, Any]) -> dict[str, list[ShardInfo]]:
    """Returns a dict of the validation shards that a manifest lists. The key is the source."""
    return {source: [ShardInfo(**one) for one in held["shards"]] for source, held in manifest["validation"].items()}


def _check_totals(plan: Plan, shards: Sequence[ShardInfo], documents: Mapping[str, int]) -> None:
    for source in plan.sources:
        written = sum(shard.sources.get(source.source, 0) for shard in shards)
        if written != source.tokens:
            raise ValueError(f"the shards hold {written:,} tokens of {source.source}, {source.tokens:,} were planned")
    rows = sum(shard.rows for shard in shards)
    if rows != sum(documents.values()):
        raise ValueError(f"the shards hold {rows:,} documents, {sum(documents.values()):,} were counted")
