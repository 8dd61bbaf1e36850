"""Defines three settings of a recipe: what is held out for validation, the size of shards, and the numbers that a paper
reports about its sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MAX_EPOCHS = 255
"""The largest number of epochs. The limit follows from the shards, which store ``epoch`` as uint8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOut:
    """Says how much of a source is held out for validation: a share of its documents, or a number of tokens."""

    share: Decimal | None = None
    """Share of the documents, which are chosen by a hash of the id. For example, 0.001 is one in a thousand."""
    tokens: int | None = None
    """Least number of held-out tokens. Whole documents are taken in the order of their hashes, until this number is
    reached."""

    def __post_init__(self) -> None:
        if (self.share is None) == (self.tokens is None):
            raise ValueError("validation takes either share or tokens for a source")
        if self.share is not None and not 0 < self.share < 1:
            raise ValueError(
                f"validation share {self.share} is not between 0 and 1 (0.001 is one document in a thousand)"
            )
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"validation tokens {self.tokens} is not a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSettings:
    """Sets how the stream is divided into files."""

    target_bytes: int = 256 * 2**20
    """Approximate size of the token ids in a shard, in bytes."""

    def __post_init__(self) -> None:
        if self.target_bytes < 1024:
            raise ValueError(f"shards.target_bytes {self.target_bytes} is below 1,024")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperShares:
    """Holds the epochs and the disk size of each source that a paper reports. ``mixtures.plan`` can print both, and
    computes from the epochs how many different tokens each source needs.
    """

    cite: str
    epochs: Mapping[str, Decimal]
    disk_gb: Mapping[str, Decimal] = field(default_factory=dict)


def as_mapping(what: str, value: Any, *, is_text: bool = True) -> dict[Any, Any]:
    """Checks that a section of a recipe is a mapping, and returns it as a dictionary.

    Args:
        what: the name of the section, for the message.
        is_text: if True, converts the keys to text, because YAML reads some names as numbers or dates.

    Raises:
        ValueError: the section is not a mapping.

    >>> as_mapping("weights", {1984: 50})
    {'1984': 50}
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be a mapping of names to values" + (", and is missing" if value is None else ""))
    return {str(key) if is_text else key: one for key, one in value.items()}
