"""The manifest, which makes a run's output whole. The pipeline builds it, trainers read it.

``manifest.json`` is written last, under a temporary name, and then renamed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mixtures.plan.shares import Plan
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
    """Builds the manifest of a finished mixture.

    Args:
        plan: the token plan.
        seed: decides the choice and the order of documents.
        encoder: the tokenizer that made the ids.
        shards: the training shards, in the order of their names.
        documents: rows of each source over all shards.
        cut_documents: the id of the document in which each source's last epoch ends; None if none lost a token.
        validation: the shards of documents held out, by source.
        about: ``created``, ``software``, ``models``, ``inputs``, and ``decontamination`` if evaluation sets were
            searched; copied into the file as they are.

    Raises:
        ValueError: the shards do not hold what was planned.
    """
    _check_totals(plan, shards, documents)
    return {
        "format": FORMAT,
        "recipe": plan.recipe,
        "seed": seed,
        "fingerprint": fingerprint_of(encoder.sha256, shards),
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
        **({"decontamination": about["decontamination"]} if about.get("decontamination") else {}),
    }


def fingerprint_of(tokenizer_sha256: str, shards: Sequence[ShardInfo]) -> str:
    """Returns a checksum of what a loader reads: the tokenizer and the bytes of the shards, in their order.

    Shards without tokens are left out, because a loader does not read them.
    """
    parts = [tokenizer_sha256, *(shard.sha256 for shard in shards if shard.tokens)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def dumps(manifest: Mapping[str, Any]) -> str:
    """Returns the text of ``manifest.json``: one line per value, keys in a fixed order."""
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
    """Parses the bytes of a manifest; `path` is named in errors.

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
    """Returns the training shards that a manifest lists."""
    return [ShardInfo(**one) for one in manifest["shards"]]


def validation_infos(manifest: Mapping[str, Any]) -> dict[str, list[ShardInfo]]:
    """Returns the validation shards that a manifest lists, by source."""
    return {source: [ShardInfo(**one) for one in held["shards"]] for source, held in manifest["validation"].items()}


def _check_totals(plan: Plan, shards: Sequence[ShardInfo], documents: Mapping[str, int]) -> None:
    for source in plan.sources:
        written = sum(shard.sources.get(source.source, 0) for shard in shards)
        if written != source.tokens:
            raise ValueError(f"the shards hold {written:,} tokens of {source.source}, {source.tokens:,} were planned")
    rows = sum(shard.rows for shard in shards)
    if rows != sum(documents.values()):
        raise ValueError(f"the shards hold {rows:,} documents, {sum(documents.values()):,} were counted")


def _is_count(value: Any) -> bool:
    """True for an int of a plausible size (not a bool, not negative)."""
    return type(value) is int and 0 <= value < 2**62


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


Form = Mapping[str, Callable[[Any], bool]]
"""Maps each key to the check of its value."""
_FORM: Form = {
    "recipe": _is_text,
    "seed": lambda value: type(value) is int,
    "tokenizer": _is_mapping,
    "tokens": _is_count,
    "documents": _is_count,
    "sources": _is_mapping,
    "validation": _is_mapping,
    "shards": lambda value: isinstance(value, list),
}
_SHARD_FORM: Form = {
    "path": _is_text,
    "rows": _is_count,
    "tokens": _is_count,
    "bytes": _is_count,
    "sha256": _is_text,
    "sources": _is_counts,
}
_SOURCE_FORM: Form = {
    **dict.fromkeys(("weight", "share", "epochs"), _is_number),
    **dict.fromkeys(("tokens", "documents", "available_tokens", "available_documents"), _is_count),
}
_HELD_FORM: Form = {"documents": _is_count, "tokens": _is_count, "shards": lambda value: isinstance(value, list)}
_TOKENIZER_FORM: Form = {
    "sha256": _is_text,
    "vocab_size": lambda value: _is_count(value) and 0 < value <= 2**31,
    "bos_id": lambda value: type(value) is int,
    "eos_id": lambda value: type(value) is int,
}


def _check_form(manifest: Any, path: str) -> None:
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise ValueError(f"{path} is not a manifest: it has no format")
    if manifest["format"] != FORMAT:
        raise ValueError(f"{path} has format {manifest['format']}, this version reads {FORMAT}")
    _check_line(manifest, _FORM, f"{path} is not a manifest")
    _check_line(manifest["tokenizer"], _TOKENIZER_FORM, f"{path}: the tokenizer's line")
    for source, line in manifest["sources"].items():
        _check_line(line, _SOURCE_FORM, f"{path}: the line of {source}")
    shards = list(manifest["shards"])
    for source, line in manifest["validation"].items():
        _check_line(line, _HELD_FORM, f"{path}: the line of {source}'s validation")
        shards += line["shards"]
    for number, shard in enumerate(shards):
        _check_line(shard, _SHARD_FORM, f"{path}: the line of shard {number}")
        if more := sorted(set(shard) - set(_SHARD_FORM)):
            raise ValueError(f"{path}: the line of shard {number} holds {', '.join(more)}, which is not known")
        if Path(shard["path"]).is_absolute() or ".." in Path(shard["path"]).parts:
            raise ValueError(f"{path}: {shard['path']} leads out of the output")


def _check_line(line: Any, form: Form, where: str) -> None:
    if not isinstance(line, dict):
        raise ValueError(f"{where}: it is no mapping")
    for key, is_right in form.items():
        if key not in line or not is_right(line[key]):
            raise ValueError(f"{where}: {key} is {'wrong' if key in line else 'missing'}")
