"""Converts a declaration in a configuration file to a `Source`. Sources defined in code are objects of the same class.
An example of a declaration:

::

    corpora:
      fineweb:
        files: fineweb/*.parquet
        columns: {text: text, id: id, url: url, quality: {path: meta.score, type: float}}
        licence: ODC-By 1.0
        steps: [gopher_quality, exact_dedup: {key: text}]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mixtures.setting_error import SettingError, place_of
from pipeline.sources.all_steps import steps_named
from pipeline.sources.corpora.corpus_files import corpus_files
from pipeline.sources.corpora.reader import CorpusReader
from pipeline.sources.corpora.values import KINDS
from pipeline.sources.dedup_steps import ExactDedup
from pipeline.sources.source import UNKNOWN_LICENCE, DataLicence, Source
from tokenizer.did_you_mean import did_you_mean

KEYS = ("files", "form", "columns", "constants", "max_text_bytes", "steps", "licence", "cite")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_COLUMN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_TAKEN = frozenset({"source", "signals", "records", "read", "clean"})
"""Names that a corpus cannot have, because the output already uses them."""
_DUPLICATE_ID = ExactDedup(
    NAME="duplicate_id", reason="duplicate_id", key="id", rule="Keeps one copy of a document that was read twice."
)
_STATED = "a configuration file"


def corpus_source(name: str, declaration: Any) -> Source:
    """Returns the source that a declaration describes.

    Raises:
        ValueError: the name, a key or a value is invalid. The message is one line that says what is allowed.

    >>> source = corpus_source("mine", {"files": "a.jsonl", "columns": ["text", "id"], "licence": "CC0"})
    >>> source.reader.id, source.licence.name
    (('id',), 'CC0')
    """
    where = f"corpora.{name}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where}: a name is lower-case letters, digits and _, a letter first, at most 63 characters")
    declared = _mapping(where, declaration)
    _refuse_unknown(where, declared, KEYS)
    steps = steps_named(f"{where}.steps", declared.get("steps") or [], {"duplicate_id": _DUPLICATE_ID})
    if all(step.NAME != "duplicate_id" for step in steps):
        steps = (_DUPLICATE_ID, *steps)
    try:
        return Source(
            name=name,
            reader=_reader(where, declared),
            steps=steps,
            cite=_text(f"{where}.cite", declared.get("cite", _STATED)),
            licence=_licence(f"{where}.licence", declared.get("licence")),
            declared={key: declared[key] for key in KEYS if key in declared},
        )
    except ValueError as error:
        message = str(error)
        message = message if message.startswith(where) else f"{where}: {message}"
        raise SettingError(message, place_of(error, where)) from error


def _reader(where: str, declared: Mapping[str, Any]) -> CorpusReader:
    form = declared.get("form")
    if form is not None and not isinstance(form, str):
        raise ValueError(f"{where}.form must be a word, not {form!r}")
    corpus_files(where.removeprefix("corpora."), declared)
    columns = declared.get("columns")
    if isinstance(columns, Sequence) and not isinstance(columns, str):
        columns = {str(name): str(name) for name in columns}
    entries = {name: _entry(f"{where}.columns.{name}", one) for name, one in _mapping(f"{where}.columns",
               {} if columns is None else columns).items()}  # fmt: skip
    constants = _mapping(f"{where}.constants", declared.get("constants") or {})
    _check_column_names(where, entries, constants)
    id_paths = entries.pop("id", {"path": []})["path"]
    optional = tuple(name for name, one in entries.items() if one.get("is_optional"))
    paths = {name: _one_path(f"{where}.columns.{name}", one["path"]) for name, one in entries.items()}
    bytes_given = {"max_text_bytes": declared["max_text_bytes"]} if "max_text_bytes" in declared else {}
    if not all(isinstance(one, int) and one > 0 for one in bytes_given.values()):
        raise ValueError(f"{where}.max_text_bytes must be a whole number above 0")
    return CorpusReader(
        form=form or "",
        text=paths.get("text", "text"),
        id=(id_paths,) if isinstance(id_paths, str) else tuple(id_paths),
        language=paths.get("language", ""),
        columns=tuple(
            (name, entries[name].get("type", "string"), path)
            for name, path in paths.items()
            if name not in ("text", "language")
        ),
        constants=tuple((name, _text(f"{where}.constants.{name}", value)) for name, value in constants.items()),
        optional=optional,
        **bytes_given,
    )


def _entry(where: str, given: Any) -> dict[str, Any]:
    """Checks the declaration of a column, and returns it as a mapping with ``path``.

    A declaration is written in one of three ways: as a path; as a list of paths (only for an id); or as a mapping with
    ``path``, ``type`` and ``is_optional``.
    """
    entry = dict(given) if isinstance(given, Mapping) else {"path": given}
    _refuse_unknown(where, entry, ("path", "type", "is_optional"))
    path = entry.get("path")
    is_list = isinstance(path, list) and bool(path) and all(isinstance(one, str) and one for one in path)
    if not is_list and not (isinstance(path, str) and path):
        raise ValueError(f"{where} must be the name of a column, or its path such as meta.url, not {path!r}")
    kind = entry.get("type", "string")
    if kind not in KINDS:
        raise ValueError(f"{where}.type must be one of {', '.join(KINDS)}, not {kind!r}")
    if not isinstance(entry.get("is_optional", False), bool):
        raise ValueError(f"{where}.is_optional must be true or false")
    return entry


def _one_path(where: str, path: Any) -> str:
    if not isinstance(path, str):
        raise ValueError(f"{where} must be one column; only the id can be made of several")
    return path


def _check_column_names(where: str, columns: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
    for name in (*columns, *constants):
        if not _COLUMN_NAME.fullmatch(name) or name in _TAKEN:
            raise ValueError(f"{where}: {name!r} cannot be a column's name: letters, digits and _, a letter first, "
                             f"and none of {', '.join(sorted(_TAKEN))}")  # fmt: skip
        if name in columns and name in constants:
            raise ValueError(f"{where}: {name} is among the columns and the constants; keep one of them")
    for name in ("text", "id"):
        if name in constants:
            raise ValueError(f"{where}.constants.{name}: every document has a {name} of its own")
    for name in ("text", "id", "language"):
        if columns.get(name, {}).get("type", "string") != "string":
            raise ValueError(f"{where}.columns.{name} is always a string; leave out its type")


def _licence(where: str, given: Any) -> DataLicence:
    if given is None:
        return UNKNOWN_LICENCE
    parts = dict(given) if isinstance(given, Mapping) else {"name": given}
    _refuse_unknown(where, parts, ("name", "asks", "link"))
    name, asks, link = (_text(f"{where}.{key}", parts.get(key, "")) for key in ("name", "asks", "link"))
    if not name:
        raise ValueError(f"{where} has no name")
    return DataLicence(name, asks or "look at its text", link)


def _text(where: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{where} must be a text, not {value!r}; YAML reads `no` as false: put it in quotes")
    return str(value)


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a mapping, not {value!r}")
    return {str(key): one for key, one in value.items()}


def _refuse_unknown(where: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            message = f"{where}.{name} is not known{did_you_mean(name, known)} (there are: {', '.join(known)})"
            raise SettingError(message, f"{where}.{name}")
