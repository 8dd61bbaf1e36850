"""The manifest: what makes a run's output whole. Built by the pipeline, read by the trainer's side.

``manifest.json`` is written last, under a temporary name and renamed, by whoever holds the output's file system.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixtures.plan import Plan
from mixtures.shards import ShardInfo
from mixtures.storage import Storage, storage_of
from tokenizer.encode import Encoder

FORMAT = 1
NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.model"


def build_manifest(
    *,
    plan: Plan,
    seed: int,
    encoder: Encoder,
    shards: Sequence[ShardInfo],
    documents: Mapping[str, int],
    cut_documents: Mapping[str, str | None],
    validation: Mapping[str, Sequence[ShardInfo]],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of a finished mixture.

    Args:
        plan: what was dealt out.
        seed: of the choice and order of documents.
        encoder: the tokenizer, as it was used.
        shards: the training shards, in the order of their names.
        documents: rows of each source over all shards.
        cut_documents: by source, the id of the document its last pass ends in, None where none lost a token.
        validation: the shards of documents held out, by source.
        about: ``created``, ``software``, ``models`` and ``inputs``, as they are to stand in the file.

    Raises:
        ValueError: the shards do not hold what was planned.
    """
    _check_totals(plan, shards, documents)
    return {
        "format": FORMAT,
        "recipe": plan.recipe,
        "seed": seed,
        "created": about.get("created"),
        "software": dict(about.get("software", {})),
        "tokenizer": {
            "path": TOKENIZER_NAME,
            "sha256": encoder.sha256,
            "vocab_size": encoder.vocab_size,
            "bos_id": encoder.bos_id,
            "eos_id": encoder.eos_id,
        },
        "models": dict(about.get("models", {})),
        "tokens": plan.tokens,
        "documents": sum(documents.values()),
        "sources": {
            s.source: {
                "weight": float(s.weight),
                "share": round(float(plan.share(s.source)), 6),
                "tokens": s.tokens,
                "documents": documents[s.source],
                "available_tokens": s.available_tokens,
                "available_documents": s.available_documents,
                "epochs": round(float(s.epochs), 6),
                "cut_document": cut_documents.get(s.source),
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
    }


def dumps(manifest: Mapping[str, Any]) -> str:
    """The text of ``manifest.json``: a line a value, keys in the contract's order."""
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: str | Path | Storage) -> dict[str, Any]:
    """Reads ``manifest.json`` of an output folder, local or in a store.

    Raises:
        ValueError: it is not there (the run did not finish), or is not a manifest that this version reads.
    """
    storage = storage_of(folder) if isinstance(folder, str | Path) else folder
    path = storage.place(NAME)
    try:
        data = storage.read(NAME)
    except FileNotFoundError:
        raise ValueError(f"{path} is not there: this is no output of a finished run") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    return loads(data, path)


def loads(data: bytes, path: str) -> dict[str, Any]:
    """The manifest that a file's bytes are; ``path`` is told where they are none.

    Raises:
        ValueError: they are not a manifest that this version reads.
    """
    try:
        manifest = json.loads(data.decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    _check_form(manifest, path)
    return dict(manifest)


def shard_infos(manifest: Mapping[str, Any]) -> list[ShardInfo]:
    """The training shards that a manifest lists."""
    return [ShardInfo(**one) for one in manifest["shards"]]


def validation_infos(manifest: Mapping[str, Any]) -> dict[str, list[ShardInfo]]:
    """The validation shards that a manifest lists, by source."""
    return {source: [ShardInfo(**one) for one in held["shards"]] for source, held in manifest["validation"].items()}


def _check_totals(plan: Plan, shards: Sequence[ShardInfo], documents: Mapping[str, int]) -> None:
    for source in plan.sources:
        written = sum(shard.sources.get(source.source, 0) for shard in shards)
        if written != source.tokens:
            raise ValueError(f"the shards hold {written:,} tokens of {source.source}, {source.tokens:,} were planned")
    rows = sum(shard.rows for shard in shards)
    if rows != sum(documents.values()):
        raise ValueError(f"the shards hold {rows:,} documents, {sum(documents.values()):,} were counted")


_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "recipe": str,
    "seed": int,
    "tokenizer": dict,
    "tokens": int,
    "documents": int,
    "sources": dict,
    "validation": dict,
    "shards": list,
}
_SHARD_KEYS: Mapping[str, type] = {
    "path": str,
    "rows": int,
    "tokens": int,
    "bytes": int,
    "sha256": str,
    "sources": dict,
}
_SOURCE_KEYS = ("weight", "share", "tokens", "documents", "available_tokens", "available_documents", "epochs")
_TOKENIZER_KEYS: Mapping[str, type] = {"sha256": str, "vocab_size": int, "bos_id": int, "eos_id": int}


def _check_form(manifest: Any, path: str) -> None:
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise ValueError(f"{path} is not a manifest: it has no format")
    if manifest["format"] != FORMAT:
        raise ValueError(f"{path} has format {manifest['format']}, this version reads {FORMAT}")
    for key, kind in _KEYS.items():
        if not isinstance(manifest.get(key), kind):
            raise ValueError(f"{path} is not a manifest: {key} is {'wrong' if key in manifest else 'missing'}")
    held = [shard for one in manifest["validation"].values() for shard in one.get("shards", [])]
    for shard in [*manifest["shards"], *held]:
        if not isinstance(shard, dict) or any(not isinstance(shard.get(k), t) for k, t in _SHARD_KEYS.items()):
            raise ValueError(f"{path}: a shard's line lacks one of {', '.join(_SHARD_KEYS)}: {shard}")
        if set(shard) != set(_SHARD_KEYS):
            raise ValueError(f"{path}: a shard's line holds more than {', '.join(_SHARD_KEYS)}: {shard}")
        parts = Path(shard["path"]).parts
        if Path(shard["path"]).is_absolute() or ".." in parts:
            raise ValueError(f"{path}: {shard['path']} leads out of the output")
    for source, line in manifest["sources"].items():
        if not isinstance(line, dict) or any(key not in line for key in _SOURCE_KEYS):
            raise ValueError(f"{path}: the line of {source} lacks one of {', '.join(_SOURCE_KEYS)}")
    if any(not isinstance(manifest["tokenizer"].get(k), t) for k, t in _TOKENIZER_KEYS.items()):
        raise ValueError(f"{path}: the tokenizer's line lacks one of {', '.join(_TOKENIZER_KEYS)}")
