"""The settings of decontamination: which evaluation sets are searched, and what is done about what is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filters.decontaminate.items import PARTS, SetRules
from mixtures.from_yaml import with_settings
from mixtures.strict_yaml import parse_yaml

KEY = "decontamination"
"""The key of a configuration file."""
ActionName = Literal["drop", "cut", "mark"]
OwnAction = Literal["", "drop", "cut", "mark"]
"""The action of one set; empty for the one of all sets."""
PartName = Literal["question", "passage", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSettings:
    """One set: where it lies, which columns have its texts, and what is done about its items."""

    name: str = ""
    path: str = ""
    """A file, a folder, or a glob: JSON lines (``.jsonl``, ``.json``, with ``.gz`` or ``.zst``) or Parquet."""
    version: str = ""
    """A name of the version, for the manifest. Every file's checksum is recorded too."""
    id: str = ""
    """The column with the item's id. Without one, the id is the number of the row."""
    question: str = ""
    answer: str = ""
    """The column with the answer: a text, or the letter or number of a choice."""
    choices: str = ""
    """The column with the choices: a list of texts, or a mapping that has one under ``text``."""
    passage: str = ""
    code: str = ""
    action: OwnAction = ""
    """What is done about its items, if not what is said for all sets."""
    public_action: OwnAction = ""
    public: tuple[PartName, ...] = ("passage",)
    """The parts that the set took from public sources."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Returns the columns that are mapped, by what they hold."""
        return {name: getattr(self, name) for name in ("id", "question", "answer", "choices", "passage", "code")
                if getattr(self, name)}  # fmt: skip

    def rules(self, version: str, default: DecontaminationSettings) -> SetRules:
        """Returns what is done about the set's items."""
        return SetRules(
            name=self.name,
            version=version,
            action=self.action or default.action,
            public_action=self.public_action or default.public_action,
            public=self.public,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminationSettings:
    """All sets, and what is done about those that say nothing of it."""

    sets: tuple[SetSettings, ...] = ()
    action: ActionName = "drop"
    """``drop`` removes the document, ``cut`` removes the paragraphs, ``mark`` only reports."""
    public_action: ActionName = "mark"
    """The same for text that a set took from public sources."""


def parse_settings(given: Any, where: str = KEY, *, folder: Path | None = None) -> DecontaminationSettings:
    """Returns the settings of a mapping, or of a bare list of sets.

    Args:
        where: the name of the mapping in messages.
        folder: what paths of sets are relative to (default: the working directory).

    Raises:
        ValueError: a setting is unknown or does not fit; a set has no name, no path or no text; two have one name.

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
    """Reads a YAML file that has sets: the whole file, or its key ``decontamination``.

    Raises:
        ValueError: it is not there, or is no list of sets.
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
