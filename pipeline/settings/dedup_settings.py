"""Reads the ``dedup:`` section of a configuration file. This section limits the share of documents that a near dedup (a
step that drops near duplicates) may remove. If a near dedup removes a larger share, the run stops. The section also has
the settings of the dedup across sources, which drops documents that an earlier source has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from mixtures.from_yaml import with_settings
from mixtures.setting_error import SettingError
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.source import Source
from tokenizer.did_you_mean import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalCeilings:
    """Holds the largest shares of documents that a near dedup may remove. If it removes a larger share, the run stops.

    The ceilings do not change any output. So they are not part of a source's fingerprint (a hash of its input and
    settings).
    """

    max_removed_share: float = 0.5
    """The largest share of a source's documents that may be removed. Our choice: a dedup that removes a larger share
    has most likely compared text from a template.
    """
    max_removed_share_of_language: float = 0.5
    max_removed_share_of_host: float = 1.0
    """The largest share of a host's documents that may be removed. The default 1 sets no limit, because a site may
    serve every page under several addresses."""
    min_documents: int = 1000
    """Sources, languages and hosts with fewer documents have no ceiling."""

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if isinstance(one.default, float) and not 0 <= value <= 1:
                raise ValueError(f"{one.name} must be from 0 to 1, not {value!r}")
        if self.min_documents < 1:
            raise ValueError(f"min_documents must be 1 or more, not {self.min_documents}")

    def share_of(self, kind: str) -> float:
        """Returns the largest share that may be removed from a group. The group is a ``source``, ``language`` or
        ``host``.
        """
        return {
            "source": self.max_removed_share,
            "language": self.max_removed_share_of_language,
            "host": self.max_removed_share_of_host,
        }[kind]

    def is_broken(self, kind: str, num_docs: int, num_removed: int) -> bool:
        """True if more documents of a group were removed than the ceiling allows. ``kind`` says what the group is: a
        ``source``, ``language`` or ``host``. A group with fewer than ``min_documents`` documents has no ceiling.

        >>> RemovalCeilings().is_broken("source", 1000, 501), RemovalCeilings().is_broken("source", 999, 998)
        (True, False)
        """
        return num_docs >= self.min_documents and num_removed > self.share_of(kind) * num_docs


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossSettings:
    """Holds the settings of the dedup across sources."""

    across: tuple[str, ...] = ()
    """The sources that are compared with each other. The first source keeps all its documents. Each further source
    loses the documents that a source before it already has. If empty, sources are not compared."""
    against: tuple[str, ...] = ()
    """The output folders of earlier runs. The sources of ``across`` also lose the documents that these outputs have.
    Nothing in these folders changes."""
    exact: bool = True
    """True removes documents with equal texts."""
    near: MinHashDedup | None = field(default_factory=MinHashDedup, compare=False)
    """The settings of the near dedup; None to remove only equal texts."""

    @property
    def names_of_outputs(self) -> tuple[str, ...]:
        """The names of the earlier runs' outputs in ``against``. A name is the last part of the output's path."""
        return tuple(one.rstrip("/").rpartition("/")[2] for one in self.against)

    def step(self, before: tuple[str, ...] = ()) -> AcrossDedup:
        """Returns the step that compares the documents of a source with those of the sources ``before``."""
        return AcrossDedup(before=before, exact=self.exact, near=self.near)

    def applied(self, sources: Mapping[str, Source]) -> dict[str, Source]:
        """Returns the sources of a run. If a source is compared with earlier sources, the dedup across sources is added
        as its last step.

        The earlier sources need not be in this run. Instead, an earlier run can have cleaned such a source and stored
        its index (the keys of its documents), which is then used for the comparison.
        """
        found = dict(sources)
        for number, name in enumerate(self.across):
            before = (*self.names_of_outputs, *self.across[:number])
            if before and name in sources:
                source = sources[name]
                found[name] = dataclasses.replace(source, steps=(*source.steps, self.step(before)))
        return found


_CEILING_NAMES = tuple(one.name for one in dataclasses.fields(RemovalCeilings))
ACROSS_NAMES = tuple(one.name for one in dataclasses.fields(AcrossSettings))
NEAR_FIXED = DedupStep.FIXED | {"scope"}
"""The settings of a near dedup that cannot be changed under ``dedup: near``."""


def ceilings_of(given: Any) -> RemovalCeilings:
    """Returns the ceilings that a configuration file sets under ``dedup``.

    Raises:
        ValueError: a name or a value is wrong.

    >>> ceilings_of({"max_removed_share": 0.3}).max_removed_share
    0.3
    """
    if given is None:
        return RemovalCeilings()
    return with_settings(RemovalCeilings(), _only(given, _CEILING_NAMES), "dedup")


def across_of(given: Any, known: Collection[str]) -> AcrossSettings:
    """Returns the settings of the dedup across sources, which a configuration file sets under ``dedup``.

    Args:
        given: the content of ``dedup``.
        known: the names of all sources.

    Raises:
        ValueError: a name or a value is wrong.

    >>> across_of({"across": ["wikipedia", "c4"], "near": {"max_overlap": 0.9}}, ["c4", "wikipedia"]).near.max_overlap
    0.9
    """
    if given is None:
        return AcrossSettings()
    own = _only(given, ACROSS_NAMES)
    named = sorted(own.keys() - {"across"})
    near = own.pop("near", True)
    settings = with_settings(AcrossSettings(), own, "dedup")
    for name in settings.across:
        if name not in known:
            hint = did_you_mean(name, known)
            message = f"dedup.across: {name!r} is not a source{hint} (there are: {', '.join(known)})"
            raise SettingError(message, "dedup.across")
        if settings.across.count(name) > 1:
            raise ValueError(f"dedup.across names {name} twice")
    if named and not settings.across:
        raise ValueError(f"dedup.{named[0]} needs dedup.across: the sources that are compared")
    names = settings.names_of_outputs
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(
            f"dedup.against: two outputs have the folder name {twice}, so dedup/ could not tell them apart; rename one"
        )
    step = MinHashDedup()
    if near not in (True, False, None):
        step = with_settings(step, near, "dedup.near", fixed=NEAR_FIXED)
    settings = dataclasses.replace(settings, near=step if near not in (False, None) else None)
    try:
        settings.step()
    except ValueError as error:
        raise ValueError(f"dedup: {error}") from error
    return settings


def _only(given: Any, names: Collection[str]) -> dict[str, Any]:
    """Returns the entries of ``given`` whose names are in ``names``. Raises ValueError if any name in ``given`` is not
    a setting of ``dedup``.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"dedup must be a mapping of settings, not {given!r}")
    known = (*_CEILING_NAMES, *ACROSS_NAMES)
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise SettingError(f"dedup.{name} is not a setting{hint}; there are: {', '.join(sorted(known))}",
                               f"dedup.{name}")  # fmt: skip
    return {name: value for name, value in given.items() if name in names}
