"""Converts a recipe's weights to percent. A recipe gives its weights as percent, relative weights, epochs or a
temperature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from math import floor

from mixtures.parts import PartRule, names_of, value_of
from mixtures.setting_error import SettingError

_HUNDRED = Decimal(100)
PRINTED_PLACES = 4
"""Number of decimal places in printed weights."""
_SLIP = (Decimal(50), Decimal(150))
"""If the sum of plain weights is in this range but is not 100, the weights are rejected, because they are probably
percentages with a mistake.
"""
_CONTEXT = Context(prec=28)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRule:
    """Derives the weights from the available tokens. One of the fields ``epochs``, ``temperature`` and ``fixed``
    decides how.
    """

    epochs: Mapping[str, Decimal] = field(default_factory=dict)
    """How many times each source occurs in the stream. A source's weight is proportional to epochs * tokens."""
    temperature: Decimal | None = None
    """A source's weight is proportional to tokens ** temperature: 1 follows the sizes, 0 weights all sources alike."""
    fixed: Mapping[str, Fraction] = field(default_factory=dict)
    """The weight of each source, if only the weights of parts depend on the available tokens. With ``parts`` and a
    temperature, the values are not used, only the names of the sources."""
    parts: Mapping[str, PartRule] = field(default_factory=dict)
    """The rules of divided sources, by source. If any are given, `weights` returns weights of parts."""

    def weights(self, tokens: Mapping[str, int]) -> dict[str, Fraction]:
        """Returns the weights of the sources that have tokens, in percent. The weights add up to 100 exactly.

        >>> rule = WeightRule(temperature=Decimal("0.5"))
        >>> {s: f"{float(w):.2f}" for s, w in rule.weights({"a": 900, "b": 100}).items()}
        {'a': '75.00', 'b': '25.00'}
        """
        if self.parts:
            return self._by_part(tokens)
        if self.fixed:
            return percentages({s: self.fixed[s] for s, n in tokens.items() if n})
        if self.temperature is not None:
            power = {s: _CONTEXT.power(Decimal(n), self.temperature) for s, n in tokens.items() if n}
            return percentages({s: Fraction(_CONTEXT.plus(p)) for s, p in power.items()})
        return percentages({s: Fraction(self.epochs[s]) * n for s, n in tokens.items() if n})

    def _by_part(self, tokens: Mapping[str, int]) -> dict[str, Fraction]:
        """Returns the weights of parts (``github:Python``), and of sources without parts. A part without tokens leaves
        its share to the other parts of its source.
        """
        of_source = {s: {n: tokens.get(n, 0) for n in names_of(self.parts, s)} for s in self.fixed}
        whole = WeightRule(temperature=self.temperature, fixed=self.fixed if self.temperature is None else {})
        weights = whole.weights({s: sum(have.values()) for s, have in of_source.items() if any(have.values())})
        found: dict[str, Fraction] = {}
        for source, weight in weights.items():
            rule = self.parts.get(source)
            if rule is None:
                found[source] = weight
                continue
            shares = rule.shares({value_of(n) or "": have for n, have in of_source[source].items()})
            found |= {n: weight * shares[v] for n in of_source[source] if (v := value_of(n) or "") in shares}
        return found

    def as_text(self) -> dict[str, str]:
        """Returns the rule as text, so that the rules of two recipes can be compared."""
        if self.temperature is not None:
            return {"temperature": str(self.temperature)}
        return {f"epochs of {s}": str(e) for s, e in self.epochs.items()}


def percentages(weights: Mapping[str, Decimal | Fraction]) -> dict[str, Fraction]:
    """Returns the weights scaled to percentages that add up to 100 exactly. Raises ValueError if all are 0."""
    exact = {s: Fraction(w) for s, w in weights.items()}
    total = sum(exact.values(), Fraction(0))
    if not total:
        raise ValueError("no source has tokens")
    return {s: 100 * w / total for s, w in exact.items()}


def rounded(exact: Mapping[str, Fraction], places: int = PRINTED_PLACES) -> dict[str, Decimal]:
    """Rounds percentages to ``places`` decimals so that they still add up to 100 exactly (largest remainder method).

    >>> rounded({s: Fraction(100, 3) for s in "abc"})
    {'a': Decimal('33.3334'), 'b': Decimal('33.3333'), 'c': Decimal('33.3333')}
    """
    scale = 10**places
    parts = {s: floor(w * scale) for s, w in exact.items()}
    left = 100 * scale - sum(parts.values())
    by_remainder = sorted(exact, key=lambda s: (parts[s] - exact[s] * scale, -exact[s], s))
    for source in by_remainder[:left]:
        parts[source] += 1
    return {s: Decimal(n).scaleb(-places) for s, n in parts.items()}


def shown(exact: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Returns percentages rounded to nine decimals, without trailing zeros. A percentage that is rounded to 0 becomes
    0.000000001.

    >>> {s: f"{w:f}" for s, w in shown({"a": Fraction(60), "b": Fraction(40)}).items()}
    {'a': '60', 'b': '40'}
    """
    return {s: (w or Decimal(1).scaleb(-9)).normalize() for s, w in rounded(exact, 9).items()}


def check_percent(weights: Mapping[str, Decimal]) -> bool:
    """Returns True if the weights are percentages that add up to 100. Returns False if they are relative weights.

    The sum may differ a little from 100, because the weights may be rounded to `PRINTED_PLACES` decimals.

    Raises:
        ValueError: the weights look like percent, but do not add up to 100.
    """
    total = sum(weights.values(), Decimal(0))
    off = total - _HUNDRED
    if abs(off) <= len(weights) * Decimal(1).scaleb(-PRINTED_PLACES) / 2:
        return True
    if not _SLIP[0] <= total <= _SLIP[1]:
        return False
    way = "too much" if off > 0 else "too little"
    raise SettingError(
        f"weights add up to {total.normalize():f}, {abs(off).normalize():f} {way}: they must add up to 100 "
        "(write weights: {relative: {...}} if only their proportions are meant)",
        "mixture.weights",
    )
