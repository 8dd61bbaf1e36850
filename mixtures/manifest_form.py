"""Defines which keys a manifest has, and checks a manifest that was read from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizer.encoder_settings import EncoderSettings

FORMAT = 1


def _is_count(value: Any) -> bool:
    """Returns True for an int that is not negative and less than 2**62. A bool does not count as an int."""
    return type(value) is int and 0 <= value < 2**62


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_encoder_settings(value: Any) -> bool:
    try:
        EncoderSettings.of(value)
    except ValueError:
        return False
    return isinstance(value, dict) and bool(value) and None not in value.values()  # None is never written


def _is_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


Form = Mapping[str, Callable[[Any], bool]]
"""Maps each key of an entry to a function that checks the key's value."""
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
_LATER_SOURCE_FORM: Form = {
    "begin_epoch": _is_count,
    "end_epoch": _is_count,
    "end_document": lambda value: value is None or _is_text(value),
    "held_out": _is_mapping,
}
"""Optional keys in the entry about a source. Outputs of earlier versions lack these keys."""
_PARTS_FORM: Form = {"by": _is_text, "values": lambda value: isinstance(value, list), "left_out": _is_counts}
_HELD_FORM: Form = {"documents": _is_count, "tokens": _is_count, "shards": lambda value: isinstance(value, list)}
_TOKENIZER_FORM: Form = {
    "sha256": _is_text,
    "vocab_size": lambda value: _is_count(value) and 0 < value <= 2**31,
    "bos_id": lambda value: type(value) is int,
    "eos_id": lambda value: type(value) is int,
}


_LATER_TOKENIZER_FORM: Form = {"path": _is_text, "settings": _is_encoder_settings, "trained": _is_mapping}
"""Optional keys in the entry about the tokenizer."""


def check_form(manifest: Any, path: str) -> None:
    """Checks that a manifest has all keys that readers need, with values of the right kinds.

    Raises:
        ValueError: a key is missing or wrong. The message names it, and the file ``path``.
    """
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise ValueError(f"{path} is not a manifest: it has no format")
    if manifest["format"] != FORMAT:
        raise ValueError(f"{path} has format {manifest['format']}, this version reads {FORMAT}")
    _check_line(manifest, _FORM, f"{path} is not a manifest")
    tokenizer = manifest["tokenizer"]
    there = {key: is_right for key, is_right in _LATER_TOKENIZER_FORM.items() if key in tokenizer}
    _check_line(tokenizer, {**_TOKENIZER_FORM, **there}, f"{path}: the tokenizer's line")
    for source, line in manifest["sources"].items():
        later = {
            key: is_right for key, is_right in _LATER_SOURCE_FORM.items() if isinstance(line, dict) and key in line
        }
        _check_line(line, {**_SOURCE_FORM, **later}, f"{path}: the line of {source}")
    for source, line in (manifest.get("parts") or {}).items():
        _check_line(line, _PARTS_FORM, f"{path}: the parts of {source}")
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
