"""Reads the settings of decontamination: the evaluation sets, and the action for documents that contain an item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filters.decontaminate.items import PARTS, SetRules
from mixtures.from_yaml import with_settings
from mixtures.strict_yaml import parse_yaml

KEY = "decontamination"
"""The key of these settings in a configuration file."""
ActionName = Literal["drop", "cut", "mark"]
OwnAction = Literal["", "drop", "cut", "mark"]
"""The action of one set. Empty means the action that applies to all sets."""
PartName = Literal["question", "passage", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSettings:
    """Describes one evaluation set: its files, the columns with its texts, and the action for documents that contain an
    item of the set."""

    name: str = ""
    path: str = ""
    """A file, a folder, or a glob: JSON lines (``.jsonl``, ``.json``, with ``.gz`` or ``.zst``) or Parquet."""
    version: str = ""
    """The name of the set's version, which the manifest shows. The manifest also records a checksum of the files."""
    id: str = ""
    """The column with the item's id. Without this column, the id is the number of the item in the set, from 0."""
    question: str = ""
    """The column with the question."""
    answer: str = ""
    """The column with the answer: a text, or the letter or number of a choice."""
    choices: str = ""
    """The column with the choices: a list of texts, or a mapping with such a list under ``text``."""
    passage: str = ""
    """The column with the passage that the question is about."""
    code: str = ""
    """The column with the code to search for."""
    action: OwnAction = ""
    """The action for documents that contain an item. Empty means the action that applies to all sets."""
    public_action: OwnAction = ""
    """The action for documents that contain one of the parts in ``public``."""
    public: tuple[PartName, ...] = ("passage",)
    """The parts that the authors of the set took from public sources."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Returns a mapping from the parts of an item to the columns that contain them. Parts without a column are left
        out."""
        return {name: getattr(self, name) for name in ("id", "question", "answer", "choices", "passage", "code")
                if getattr(self, name)}  # fmt: skip

    def rules(self, version: str, default: DecontaminationSettings) -> SetRules:
        """Returns what a search must know about the set. ``version`` is the name of the set's version. If the set lacks
        an action, the action in ``default`` is used."""
        return SetRules(
            name=self.name,
            version=version,
            action=self.action or default.action,
            public_action=self.public_action or default.public_action,
            public=self.public,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminationSettings:
    """Holds all evaluation sets, and the actions that apply to sets without an action of their own."""

    sets: tuple[SetSettings, ...] = ()
    action: ActionName = "drop"
    """``drop`` removes the document, ``cut`` removes the paragraphs with the item, ``mark`` only reports it."""
    public_action: ActionName = "mark"
    """The action for text that the authors of a set took from public sources."""


def parse_settings(given: Any, where: str = KEY, *, folder: Path | None = None) -> DecontaminationSettings:
    """Returns the settings from parsed YAML. The YAML is a mapping of settings, or only the list of sets.

    Args:
        given: the mapping or list. ``sets`` in the mapping may also be the path of a YAML file with the list.
        where: the name of the mapping for messages.
        folder: the folder to which paths of sets are relative (default: the working directory).

    Raises:
        ValueError: a setting is unknown or has a wrong value, a set lacks a name, a path or a column to search, or two
            sets have the same name.

    >>> found = parse_settings({"sets": [{"name": "mine", "path": "mine.jsonl", "question": "q"}], "action": "mark"})
    >>> found.action, found.sets[0].columns
    ('mark', {'question': 'q'})
    """
    mapping = {"sets": given} if isinstance(given, list) else given
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{where} must be a mapping with sets, or a list of sets, not {given!r}")
    listed = mapping.get("sets")
    own = with_settings(DecontaminationSettings(), {k: v for k, v in mapping.items() if k != "sets"}, where)
    if isinstance(listed, str):
        inner = _read(listed, folder)
        named = inner.get("sets") if isinstance(inner, Mapping) else inner
        return parse_settings({**mapping, "sets": named}, f"{where}.sets ({listed})", folder=_beside(listed, folder))
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{where}.sets must be a list of sets, or a file that has one; there is none to check against")
    sets = tuple(_set(one, f"{where}.sets[{number}]", folder) for number, one in enumerate(listed))
    names = [one.name for one in sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{where}.sets: two sets have the name {twice[0]!r}")
    return DecontaminationSettings(sets=sets, action=own.action, public_action=own.public_action)


def read_settings(path: str) -> DecontaminationSettings:
    """Returns the settings in a YAML file, either at its top level or under the key ``decontamination``.

    Raises:
        ValueError: the file does not exist, or contains no valid list of sets.
    """
    data = _read(path, None)
    given = data.get(KEY, data) if isinstance(data, Mapping) else data
    return parse_settings(given, path, folder=_beside(path, None))


def _read(path: str, folder: Path | None) -> Any:
    file = (folder or Path()) / path
    if not file.is_file():
        raise ValueError(f"there is no file of evaluation sets {file}")
    return parse_yaml(file.read_text("utf-8"), str(file))


def _beside(path: str, folder: Path | None) -> Path:
    return ((folder or Path()) / path).parent


def _set(given: Any, where: str, folder: Path | None) -> SetSettings:
    one = with_settings(SetSettings(), given, where)
    if not one.name or not one.path:
        raise ValueError(f"{where} needs a name and a path")
    if not any(getattr(one, part) for part in PARTS):
        raise ValueError(f"{where} ({one.name}): name the column of its question, passage or code")
    if folder is not None and not Path(one.path).is_absolute():
        given = {**given, "path": str(folder / one.path)}
        one = with_settings(SetSettings(), given, where)
    return one
