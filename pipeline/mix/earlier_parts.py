"""Finds where the parts of a source continue, if earlier stages divided the source differently.

A stage is one mixture in a series of mixtures that continue each other. After a stage, each part of a source has a
place: an epoch, and the last document that was taken in this epoch. If a later stage divides a part into smaller parts,
each smaller part continues at the place of the part that contained it. If a later stage joins documents that stopped at
different places, the new part is refused. Such a part would repeat some documents and skip others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixtures.parts import OTHER, PartRule, part_name, source_of
from mixtures.subset import Begun


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSet:
    """Describes a set of documents of a source by their values in a column.

    Usually the set has the documents with one of ``values``. If ``is_rest``, it has all documents with any other value.
    """

    by: str
    """The name of the column. The name is empty if the set contains all documents of a source."""
    values: frozenset[str]
    is_rest: bool = False

    def holds(self, other: ValueSet) -> bool:
        """True if all documents of ``other`` are in this set."""
        if not self.by:
            return True
        if self.by != other.by:
            return False
        if self.is_rest:
            return self.values <= other.values if other.is_rest else not self.values & other.values
        return not other.is_rest and other.values <= self.values

    def meets(self, other: ValueSet) -> bool:
        """True if a document may be in both sets."""
        if self.by != other.by or (self.is_rest and other.is_rest):
            return True
        if self.is_rest or other.is_rest:
            rest, named = (self, other) if self.is_rest else (other, self)
            return bool(named.values - rest.values)
        return bool(self.values & other.values)

    def without(self, other: ValueSet) -> ValueSet | None:
        """Returns this set without the documents of ``other``, which must be a subset. Returns None if no document
        remains.
        """
        if not other.by:
            return None
        if other.is_rest:
            left = other.values - self.values if self.is_rest or not self.by else self.values & other.values
            return ValueSet(by=other.by, values=left) if left else None
        if self.is_rest or not self.by:
            return ValueSet(by=other.by, values=self.values | other.values, is_rest=True)
        left = self.values - other.values
        return ValueSet(by=self.by, values=left) if left else None


WHOLE = ValueSet(by="", values=frozenset())


@dataclass(frozen=True, slots=True)
class Place:
    """Says where a new stage continues with a set of documents: in which epoch, and after which document of this
    epoch.
    """

    values: ValueSet
    """Describes the set of documents."""
    epoch: int
    begun: Begun | None
    """The documents of this epoch that earlier stages took; None if they took none."""


def sets_of(source: str, rule: PartRule | Mapping[str, Any] | None) -> dict[str, ValueSet]:
    """Returns a mapping from the name of each part to its set of documents. ``rule`` is a recipe's rule, or a
    manifest's record of such a rule.

    In the example, the part ``c4:other`` has all documents whose site is not ``a``. So its set has the value ``a``, and
    ``is_rest`` is True:

    >>> sets_of("c4", {"by": "site", "values": ["a", "other"]})["c4:other"].values
    frozenset({'a'})
    """
    if rule is None:
        return {source: WHOLE}
    by, values = (rule.by, list(rule.weights)) if isinstance(rule, PartRule) else (rule["by"], rule["values"])
    named = frozenset(value for value in values if value != OTHER)
    rest = ValueSet(by=by, values=named, is_rest=True) if named else WHOLE
    return {part_name(source, v): rest if v == OTHER else ValueSet(by=by, values=frozenset({v})) for v in values}


def moved(places: Sequence[Place], new: Sequence[Place]) -> tuple[Place, ...]:
    """Returns where the documents of a source continue after one more stage.

    ``places`` says where all documents continued before the stage. ``new`` has only the documents that the stage used,
    and says where they continue after the stage. All other documents keep their place.
    """
    left = list(places)
    for one in new:
        rests = []
        for old in left:
            rest = old.values.without(one.values) if old.values.holds(one.values) else old.values
            rests += [] if rest is None else [Place(rest, old.epoch, old.begun)]
        left = rests
    return (*left, *new)


def place_of(name: str, values: ValueSet, places: Sequence[Place]) -> Place | None:
    """Returns the place at which a part continues; None if no earlier stage used any of its documents.

    ``values`` describes the documents of the part.

    Raises:
        ValueError: the documents of the part may have stopped at different places.
    """
    for place in places:
        if place.values.holds(values):
            return place
    if any(place.values.meets(values) for place in places):
        raise ValueError(
            f"{name}: earlier stages divided {source_of(name)} otherwise, so its documents stopped at different places "
            "and some would be repeated; divide it by the same column, and name at least the same values"
        )
    return None
