"""Divides a source's tokens among its parts, such as its languages, if a recipe gives weights to these parts.

    recipe (by source) -> take_parts: PartRule of each source -> (plan.by_part) -> plan, shards, manifest (by part)

A part consists of a source's clean documents that have the same value in one column. Its name is ``SOURCE:VALUE``, for
example ``github:python``. ``SOURCE:other`` contains all documents whose value is not named, including documents without
a value. In the shards, the plan and the manifest, the parts are listed instead of their source. Documents are still
held out, ordered and chosen by the hashes of their source, so the order of documents does not depend on the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from mixtures.recipe_values import MAX_EPOCHS, as_mapping
from mixtures.setting_error import SettingError
from tokenizer.did_you_mean import did_you_mean

OTHER = "other"
"""Represents every value that a rule does not name."""
MAX_VALUE_CHARS = 100
_MARK = ":"
"""Separates the source from the value in the name of a part. Names of sources contain no colon."""
_EXAMPLE = "{weight: 9, by: programming_language, Python: 2, other: 1}"

Number = Callable[[str, Any], Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRule:
    """Says how a source's tokens are divided among the values of a column. Raises ValueError for impossible values."""

    by: str
    """The column of the clean documents. ``host`` is the host of ``url`` if there is no such column."""
    weights: Mapping[str, Decimal]
    """The weight of each value, relative to the source's other values. With ``is_epochs``, the epochs of each value."""
    is_epochs: bool = False
    """True if ``weights`` holds epochs. The share of a value is then its epochs times its available tokens."""
    max_epochs: Mapping[str, Decimal] = field(default_factory=dict)
    """How often the tokens of each value may be in the stream. If empty, the source's limit applies to each value."""

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError(f"no value of {self.by} is named; write for example {_EXAMPLE}")
        for value, weight in self.weights.items():
            if not value or len(value) > MAX_VALUE_CHARS or not value.isprintable():
                raise ValueError(
                    f"{value[:MAX_VALUE_CHARS]!r} cannot name a part: 1 to {MAX_VALUE_CHARS} printable characters can"
                )
            if not weight > 0:
                raise ValueError(f"{self.by} {value} has {weight}: it must be above 0 (leave a value out to have none)")
        for value, most in self.max_epochs.items():
            if value not in self.weights:
                hint = did_you_mean(value, self.weights)
                raise ValueError(f"max_epochs names {value}, which is not among {', '.join(self.weights)}{hint}")
            if not 0 < most <= MAX_EPOCHS:
                raise ValueError(f"max_epochs of {value} is {most}: it must be above 0 and at most {MAX_EPOCHS}")

    @property
    def named(self) -> tuple[str, ...]:
        """The values that are named, without `OTHER`."""
        return tuple(value for value in self.weights if value != OTHER)

    @property
    def has_other(self) -> bool:
        """True if the mixture contains documents whose value is not named. Otherwise they are left out."""
        return OTHER in self.weights

    def shares(self, tokens: Mapping[str, int]) -> dict[str, Fraction]:
        """Returns each value's share of the source's tokens. ``tokens`` has the number of tokens of each value.

        Values without tokens are left out, and their share goes to the values that have tokens. If the weights are
        epochs, a value contributes its epochs times its tokens. In this example, ``head`` contributes 4 * 100 tokens,
        and ``middle`` contributes 1 * 600:

        >>> rule = PartRule(by="bucket", weights={"head": Decimal(4), "middle": Decimal(1)}, is_epochs=True)
        >>> rule.shares({"head": 100, "middle": 600})
        {'head': Fraction(2, 5), 'middle': Fraction(3, 5)}
        """
        exact = {
            v: Fraction(w) * (tokens[v] if self.is_epochs else 1) for v, w in self.weights.items() if tokens.get(v)
        }
        total = sum(exact.values(), Fraction(0))
        return {v: w / total for v, w in exact.items()}

    def most_epochs(self, value: str, of_source: Decimal) -> Decimal:
        """Returns how often the tokens of a value may be in the stream. If the rule has no ``max_epochs``, this is the
        limit of the source, ``of_source``. Otherwise it is the limit of the value, or 1 if the value has no limit.
        """
        return self.max_epochs.get(value, Decimal(1)) if self.max_epochs else of_source

    def as_text(self) -> str:
        """Returns a text that says which documents the rule keeps, so that two recipes can be compared."""
        return f"{self.by}: {', '.join(sorted(self.weights))}"


def part_name(source: str, value: str) -> str:
    """Returns the name of a part.

    >>> part_name("github", "python"), source_of("github:python"), source_of("books")
    ('github:python', 'github', 'books')
    """
    return f"{source}{_MARK}{value}"


def source_of(name: str) -> str:
    """Returns the source of a part. For the name of a source, returns that name."""
    return name.partition(_MARK)[0]


def value_of(name: str) -> str | None:
    """Returns the value of a part; None for the name of a source."""
    _, mark, value = name.partition(_MARK)
    return value if mark else None


def names_of(rules: Mapping[str, PartRule], source: str) -> tuple[str, ...]:
    """Returns the names of a source's parts, or the source's own name if it is not divided."""
    rule = rules.get(source)
    return (source,) if rule is None else tuple(part_name(source, value) for value in rule.weights)


def is_of(name: str, wanted: str) -> bool:
    """Returns True if ``name`` is the wanted source or part, or a part of the wanted source.

    >>> is_of("github:python", "github"), is_of("github", "github:python")
    (True, False)
    """
    return wanted in (name, source_of(name))


def not_held_out(wanted: Iterable[str], manifest: Mapping[str, Any]) -> list[str]:
    """Returns the sources of a mixture from which no document is held out, although the recipe asks for a share.

    A share of a small source can come out as no document at all. Then no validation loss of this source can be
    measured.

    Args:
        wanted: the sources that the recipe's ``validation`` names.
        manifest: the manifest of the finished mixture.

    >>> manifest = {"sources": {"c4": {}, "books": {}}, "validation": {"c4": {"documents": 3}}}
    >>> not_held_out(["c4", "books", "arxiv"], manifest)
    ['books']
    """
    mixed = {source_of(name) for name in manifest["sources"]}
    held = manifest["validation"]
    return [source for source in wanted if source in mixed and not held.get(source, {}).get("documents")]


def whole_line(manifest: Mapping[str, Any], source: str) -> dict[str, Any] | None:
    """Returns a manifest's entry about a source; None if there is none. If the source is divided, the entry is the sum
    of the entries about its parts."""
    lines = [line for name, line in manifest.get("sources", {}).items() if source_of(name) == source]
    if len(lines) < 2:
        return dict(lines[0]) if lines else None
    added = ("weight", "share", "tokens", "documents", "available_tokens", "available_documents")
    whole = {key: sum(line[key] for line in lines) for key in added}
    return {**whole, "epochs": round(whole["tokens"] / max(1, whole["available_tokens"]), 6)}


def check_parts(parts: Mapping[str, PartRule], weights: Iterable[str], max_names: int) -> None:
    """Raises ValueError if a divided source has no weight, or if there are more sources and parts than ``max_names``,
    the number that shards can distinguish."""
    weighed = list(weights)
    for source in parts:
        if source not in weighed:
            hint = did_you_mean(source, weighed)
            raise SettingError(f"parts holds {source}, which is not among {', '.join(weighed)}{hint}",
                               f"mixture.parts.{source}")  # fmt: skip
    number = sum(len(names_of(parts, source)) for source in weighed)
    if number > max_names:
        raise ValueError(f"{number} sources and parts: at most {max_names} fit the shards' source column")


def take_parts(mixture: Mapping[str, Any], number: Number) -> tuple[dict[str, Any], dict[str, PartRule]]:
    """Separates the rules about parts from a recipe's ``mixture``.

    A rule can be in three places: in ``parts: {SOURCE: {by: COLUMN, VALUE: WEIGHT}}``; instead of a source's weight, as
    ``{weight: 9, by: COLUMN, VALUE: WEIGHT}``; or instead of a source's epochs, as ``{by: COLUMN, VALUE: EPOCHS}``. In
    ``max_epochs``, a divided source may have a mapping from values to limits.

    Args:
        number: a function that converts a value of YAML to a number. It is called with the name of the value, for error
            messages, and the value.

    Returns:
        The mixture with one number per source, and the rule of each source that is divided.

    Raises:
        ValueError: a rule is wrong. The message says where.
    """
    plain, rules = dict(mixture), dict[str, PartRule]()
    for source, one in as_mapping("parts", plain.pop("parts", None) or {}).items():
        rules[source] = _rule(f"parts.{source}", as_mapping(f"parts.{source}", one, is_text=False), number)
    for key in ("weights", "epochs"):
        given = plain.get(key)
        inner = given.get("relative", given) if isinstance(given, Mapping) else None
        if not isinstance(inner, Mapping) or "temperature" in inner:
            continue
        numbers = {str(source): one for source, one in inner.items()}
        for source, one in list(numbers.items()):
            if isinstance(one, Mapping):
                if source in rules:
                    raise ValueError(f"{source} is divided in parts and in {key}: keep one of them")
                numbers[source], rules[source] = _inline(key, source, dict(one), number)
            elif key == "epochs" and source in rules:
                raise ValueError(f"epochs.{source} is divided: give the epochs of each value, {{by: COLUMN, VALUE: 2}}")
        plain[key] = {"relative": numbers} if inner is not given else numbers
    limits = plain.get("max_epochs")
    if isinstance(limits, Mapping):
        limits = {str(source): most for source, most in limits.items()}
        for source, most in list(limits.items()):
            if isinstance(most, Mapping):
                limits[source], rules[source] = _limited(source, most, rules.get(source), number)
        plain["max_epochs"] = limits
    elif limits is None and plain.get("epochs") is not None:
        rules = {s: _with_limits(rule, rule.weights) for s, rule in rules.items()}
    return plain, rules


def _inline(key: str, source: str, one: dict[Any, Any], number: Number) -> tuple[Any, PartRule]:
    """Returns the weight (or epochs) of a source and its rule. ``one`` is a mapping that contains both of them."""
    where = f"{key}.{source}"
    if key == "epochs":
        if "weight" in one or "epochs" in one:
            raise ValueError(f"{where} holds weight or epochs: write {{by: bucket, head: 4, middle: 1}}")
        rule = _rule(where, {"by": one.pop("by", None), "epochs": one}, number)
        return sum(rule.weights.values()) / len(rule.weights), rule
    if "weight" not in one:
        raise ValueError(f"{where} has no weight, the source's own; write for example {_EXAMPLE}")
    weight = one.pop("weight")
    return weight, _rule(where, one, number)


def _rule(where: str, one: Mapping[Any, Any], number: Number) -> PartRule:
    values = {value: weight for value, weight in one.items() if value != "by"}
    by, is_epochs = one.get("by"), "epochs" in values
    if not isinstance(by, str) or not by:
        raise ValueError(f"{where}.by must name the column whose values are weighed; write for example {_EXAMPLE}")
    if is_epochs:
        if len(values) > 1:
            raise ValueError(f"{where} holds epochs and weights of values: keep one of them")
        values = as_mapping(f"{where}.epochs", values["epochs"], is_text=False)
    try:
        return PartRule(by=by, weights=_numbers(where, values, number), is_epochs=is_epochs)
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith(where) else f"{where}: {message}") from error


def _limited(source: str, most: Mapping[Any, Any], rule: PartRule | None, number: Number) -> tuple[Decimal, PartRule]:
    """Returns the largest limit of epochs of a source's parts, and the source's rule with the limits of all parts."""
    where = f"max_epochs.{source}"
    if rule is None:
        raise ValueError(
            f"{where} has limits of parts, and {source} is not divided: write weights or parts by a column"
        )
    given = _numbers(where, most, number)
    limits = {**dict.fromkeys(rule.weights, Decimal(1)), **given}
    try:
        return max(limits.values()), _with_limits(rule, limits)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _with_limits(rule: PartRule, limits: Mapping[str, Decimal]) -> PartRule:
    return PartRule(by=rule.by, weights=rule.weights, is_epochs=rule.is_epochs, max_epochs=dict(limits))


def _numbers(where: str, values: Mapping[Any, Any], number: Number) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for value, one in values.items():
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise ValueError(f"{where}: YAML reads a value as {value!r}: put it in quotes")
        found[str(value)] = number(f"{where}.{value}", one)
    return found
