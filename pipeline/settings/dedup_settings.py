"""Reads the ``dedup:`` section of a configuration file. This section limits the share of documents that a near dedup
may remove. If a near dedup removes a larger share, the run stops.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mixtures.from_yaml import with_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalCeilings:
    """Holds the largest shares of documents that a near dedup may remove. If it removes a larger share, the run stops.

    The ceilings do not change any output, so they are not part of a source's fingerprint.
    """

    max_removed_share: float = 0.5
    """The largest share of a source's documents that may be removed. Ours: a dedup that removes a larger share has most
    likely compared text from a template.
    """
    max_removed_share_of_language: float = 0.5
    max_removed_share_of_host: float = 1.0
    """The largest share of a host's documents that may be removed. The default 1 sets no limit, because a site may
    serve every page under several addresses."""
    min_documents: int = 1000
    """Sources, languages and hosts with fewer documents have no ceiling."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, float) and not 0 <= value <= 1:
                raise ValueError(f"{field.name} must be from 0 to 1, not {value!r}")
        if self.min_documents < 1:
            raise ValueError(f"min_documents must be 1 or more, not {self.min_documents}")

    def share_of(self, kind: str) -> float:
        """Returns the ceiling for a kind of group: ``source``, ``language`` or ``host``."""
        return {
            "source": self.max_removed_share,
            "language": self.max_removed_share_of_language,
            "host": self.max_removed_share_of_host,
        }[kind]

    def is_broken(self, kind: str, num_docs: int, num_removed: int) -> bool:
        """True if more documents were removed than the ceiling allows.

        >>> RemovalCeilings().is_broken("source", 1000, 501), RemovalCeilings().is_broken("source", 999, 998)
        (True, False)
        """
        return num_docs >= self.min_documents and num_removed > self.share_of(kind) * num_docs


def ceilings_of(given: Any) -> RemovalCeilings:
    """Returns the ceilings that a configuration file sets under ``dedup``.

    Raises:
        ValueError: a name or a value is wrong.

    >>> ceilings_of({"max_removed_share": 0.3}).max_removed_share
    0.3
    """
    return RemovalCeilings() if given is None else with_settings(RemovalCeilings(), given, "dedup")
