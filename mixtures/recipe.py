"""Reads recipes. A recipe sets each source's share of the stream, how often a source may be repeated, and the size of
shards.

A recipe is one YAML file. Weights are read as exact decimals, never as floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

from mixtures.config_files import naming_file, read_text
from mixtures.parts import PartRule, check_parts, take_parts
from mixtures.recipe_values import MAX_EPOCHS, HoldOut, PaperShares, ShardSettings, as_mapping
from mixtures.setting_error import SettingError
from mixtures.strict_yaml import parse_yaml
from mixtures.weights import WeightRule, check_percent, percentages, rounded, shown
from tokenizer.did_you_mean import did_you_mean
from tokenizer.numbers import number_of

MAX_SOURCES = 127
"""The largest number of sources. The limit follows from the shards, which store ``source`` as a dictionary with int8
indices."""
_HUNDRED = Decimal(100)

Missing = Literal["error", "share"]
Length = Literal["at_most", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Describes a mixture. Raises ValueError if its values contradict one another; the message says how to fix them."""

    name: str
    weights: Mapping[str, Decimal]
    """Percent of the stream's tokens, by source. The values add up to 100 exactly. If `rule` is set and not yet
    resolved, they only name the sources."""
    max_epochs: Mapping[str, Decimal]
    """The largest number of times that a source's tokens may occur in the stream, by source."""
    tokens: int
    """The length of the stream in tokens, if ``--tokens`` gives no other length."""
    is_length_inherited: bool = False
    """True if nobody asked for the length `tokens`: a configuration file replaced the weights of the recipe that it
    names (or of the default recipe), but not its ``tokens``. The stream is not longer than `tokens`. If it is shorter,
    no message compares it with `tokens`.
    """
    base: str = ""
    """The recipe that a configuration file builds on: its ``recipe``, or the default recipe. Empty if the recipe was
    not read from a configuration file."""
    length: Length | None = None
    """Sets what a run does if it cannot reach the length. With ``at_most``, the longest stream that fits is made, and
    the table names the source that limits it. With ``exact``, an error is raised. If None, the recipe's `tokens`
    count as ``at_most``, and ``--tokens`` counts as ``exact``.
    """
    missing: Missing = "error"
    """Sets what a run does if a source has no tokens or too few. ``error`` stops. ``share`` gives the missing weight to
    the other sources.
    """
    validation: Mapping[str, HoldOut] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    """Settings of :class:`tokenizer.train.training.TrainSettings`."""
    shards: ShardSettings = field(default_factory=ShardSettings)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of each source's filters, passed on unchanged."""
    corpora: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Declarations of sources that have no code, passed on unchanged."""
    paper: PaperShares | None = None
    rule: WeightRule | None = None
    """The rule that derives the weights from the available tokens; see `resolved`."""
    exact: Mapping[str, Fraction] = field(default_factory=dict)
    """The weights before they were rounded to `weights`. Empty if `weights` are exact."""
    parts: Mapping[str, PartRule] = field(default_factory=dict)
    """The rules of divided sources, by source. A rule divides the source's tokens by a column of its documents."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("the recipe has no name")
        _check_weights(self.weights)
        is_percent = bool(self.exact) or self.rule is not None or check_percent(self.weights)
        if not is_percent or (not self.exact and self.rule is None and sum(self.weights.values()) != _HUNDRED):
            raise ValueError("the weights must add up to 100, unless `exact` holds what they are rounded from")
        for source in self.weights:
            limit = self.max_epochs.get(source)
            if limit is None:
                raise ValueError(f"max_epochs says nothing of {source}, which has a weight")
            if not 0 < limit <= MAX_EPOCHS:
                raise ValueError(f"max_epochs of {source} is {limit}: it must be above 0 and at most {MAX_EPOCHS}")
        if self.tokens < 1:
            raise ValueError(f"tokens {self.tokens} is not a positive number")
        if self.missing not in ("error", "share"):
            raise ValueError(f"missing is {self.missing!r}: it must be error or share")
        if self.length not in (None, "at_most", "exact"):
            raise ValueError(f"length is {self.length!r}: it must be at_most or exact")
        for what, named in (("max_epochs", self.max_epochs), ("validation", self.validation)):
            _refuse_unknown(what, named, self.weights, f"mixture.{what}")
        check_parts(self.parts, self.weights, MAX_SOURCES)

    def exact_weights(self) -> Mapping[str, Fraction]:
        """Returns the weights as fractions, in percent."""
        return self.exact or {s: Fraction(w) for s, w in self.weights.items()}

    def resolved(self, tokens: Mapping[str, int]) -> Recipe:
        """Returns a copy of the recipe, with weights that are computed from the available tokens.

        The recipe's rule says how, for example by a temperature. ``tokens`` has the number of available tokens of each
        source. Sources without tokens are removed. A recipe without a rule is returned unchanged.
        """
        if self.rule is None:
            return self
        exact = self.rule.weights({s: n for s, n in tokens.items() if s in self.weights})
        weights = {s: w or Decimal(1).scaleb(-9) for s, w in rounded(exact, 9).items()}
        if self.rule.parts:
            weights = shown(exact)
        return replace(self, weights=weights, exact=exact, rule=None,
                       parts={s: p for s, p in self.parts.items() if s in weights},
                       max_epochs={s: self.max_epochs[s] for s in weights},
                       validation={s: v for s, v in self.validation.items() if s in weights})  # fmt: skip

    def weights_as_text(self) -> dict[str, str]:
        """Returns the weights, or the rule that derives them, as text. So two recipes can be compared."""
        said = self.rule.as_text() if self.rule else {s: str(w) for s, w in self.weights.items()}
        return said | {f"parts of {s}": rule.as_text() for s, rule in self.parts.items() if not rule.has_other}


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Reads a recipe from a YAML file. Instead of a path, you can give the name of a recipe in the package (``llama``,
    ...).

    Raises:
        ValueError: the file does not exist, is not YAML, or is not a recipe. The message says how to fix it.

    >>> sum(load_recipe("llama").weights.values())
    Decimal('100.0')
    """
    text, place = read_text(name_or_path)
    data = parse_yaml(text, place)
    with naming_file(name_or_path):
        return recipe_of(data)


def recipe_of(data: Any) -> Recipe:
    """Makes a recipe from the parsed YAML of a file. Raises ValueError for unknown keys and wrong values."""
    top = as_mapping("the recipe", data)
    # inputs belong to the run, but a recipe may contain defaults for them
    _refuse_unknown("the recipe", top, ("name", "inputs", "mixture", "tokenizer", "shards", "sources", "corpora",
                                         "paper"), "")  # fmt: skip
    mixture = as_mapping("mixture", top.get("mixture"))
    _refuse_unknown("mixture", mixture, ("weights", "epochs", "max_epochs", "tokens", "length", "missing",
                                         "validation", "parts"), "mixture")  # fmt: skip
    mixture, parts = take_parts(mixture, _decimal)
    weights, exact, rule = _weights(mixture)
    shards = as_mapping("shards", top.get("shards") or {})
    _refuse_unknown("shards", shards, ("target_bytes",), "shards")
    paper = top.get("paper")
    return Recipe(
        name=str(top.get("name") or ""),
        weights=weights,
        exact=exact,
        rule=rule,
        parts=parts,
        max_epochs=_epochs(mixture.get("max_epochs", rule.epochs if rule and rule.epochs else 1), weights),
        tokens=_integer("tokens", mixture.get("tokens"), "mixture.tokens"),
        length=cast(Length | None, mixture.get("length")),
        missing=cast(Missing, mixture.get("missing", "error")),
        validation=_validation(mixture.get("validation"), weights),
        tokenizer=as_mapping("tokenizer", top.get("tokenizer") or {}),
        shards=ShardSettings(**{key: _integer(key, value, f"shards.{key}") for key, value in shards.items()}),
        sources={s: as_mapping(f"sources.{s}", v) for s, v in as_mapping("sources", top.get("sources") or {}).items()},
        corpora={c: as_mapping(f"corpora.{c}", v) for c, v in as_mapping("corpora", top.get("corpora") or {}).items()},
        paper=None if paper is None else _paper(as_mapping("paper", paper)),
    )


def _check_weights(weights: Mapping[str, Decimal], where: str = "mixture.weights") -> None:
    if not weights:
        raise ValueError("the recipe has no weights")
    if len(weights) > MAX_SOURCES:
        raise ValueError(f"{len(weights)} sources: at most {MAX_SOURCES} fit the shards' source column")
    for source, weight in weights.items():
        if not weight > 0:
            message = f"weight of {source} is {weight}: it must be above 0 (leave a source out to have none of it)"
            raise SettingError(message, f"{where}.{source}")


def _weights(mixture: Mapping[str, Any]) -> tuple[dict[str, Decimal], dict[str, Fraction], WeightRule | None]:
    """Reads the weights of a recipe. Returns three values: the weights in percent; the exact weights, if the
    percentages are rounded; and the rule that derives the weights from the available tokens, if the recipe has one."""
    if mixture.get("epochs") is not None:
        if mixture.get("weights") is not None:
            raise ValueError("mixture has both weights and epochs: give one of them, the other follows from it")
        epochs = {s: _decimal(f"epochs of {s}", e, f"mixture.epochs.{s}")
                  for s, e in as_mapping("epochs", mixture["epochs"]).items()}  # fmt: skip
        _check_weights(epochs, "mixture.epochs")
        return _alike(epochs), {}, WeightRule(epochs=epochs)
    given = as_mapping("weights", mixture.get("weights"))
    if "temperature" in given:
        _refuse_unknown("weights", given, ("temperature", "sources"), "mixture.weights")
        where = "mixture.weights.temperature"
        names, temperature = given.get("sources"), _decimal("temperature", given["temperature"], where)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError("weights with a temperature must name their sources: {temperature: 0.7, sources: [A, B]}")
        if not 0 <= temperature <= 1:
            raise SettingError(f"temperature {temperature} is not between 0 (all alike) and 1 (by size)", where)
        return _alike(dict.fromkeys(names)), {}, WeightRule(temperature=temperature)
    is_relative, where = "relative" in given, "mixture.weights"
    if is_relative:
        _refuse_unknown("weights", given, ("relative",), where)
        given, where = as_mapping("weights.relative", given["relative"]), f"{where}.relative"
    weights = {s: _decimal(f"weight of {s}", w, f"{where}.{s}") for s, w in given.items()}
    _check_weights(weights, where)
    is_percent = not is_relative and check_percent(weights)
    if is_percent and sum(weights.values()) == _HUNDRED:
        return weights, {}, None
    exact = percentages(weights)
    return {s: w or Decimal(1).scaleb(-9) for s, w in rounded(exact, 9).items()}, exact, None


def _alike(sources: Mapping[str, object]) -> dict[str, Decimal]:
    return rounded(percentages(dict.fromkeys(sources, Fraction(1))))


def _epochs(value: Any, weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Returns how many epochs of each source are allowed. The recipe has one number for all sources, or one per
    source. A source that is not named gets 1."""
    if isinstance(value, Mapping):
        named = {str(s): _decimal(f"max_epochs of {s}", v, f"mixture.max_epochs.{s}") for s, v in value.items()}
        return {**dict.fromkeys(weights, Decimal(1)), **named}
    return dict.fromkeys(weights, _decimal("max_epochs", value, "mixture.max_epochs"))


def _validation(value: Any, weights: Mapping[str, Decimal]) -> dict[str, HoldOut]:
    """Returns how much of each source is held out for validation. The recipe says ``{share: X}`` or ``{tokens: N}``,
    either once for all sources or by source.
    """
    if value is None:
        return {}
    named = as_mapping("validation", value)
    if {"share", "tokens"} & set(named):
        return dict.fromkeys(weights, _hold_out(named, "mixture.validation"))
    return {source: _hold_out(as_mapping(f"validation of {source}", one), f"mixture.validation.{source}")
            for source, one in named.items()}  # fmt: skip


def _hold_out(one: Mapping[str, Any], where: str) -> HoldOut:
    _refuse_unknown("validation", one, ("share", "tokens"), where)
    share, tokens = one.get("share"), one.get("tokens")
    try:
        return HoldOut(
            share=None if share is None else _decimal("validation share", share),
            tokens=None if tokens is None else _integer("validation tokens", tokens, where),
        )
    except ValueError as error:
        raise SettingError(str(error), where) from error


def _paper(data: Mapping[str, Any]) -> PaperShares:
    _refuse_unknown("paper", data, ("cite", "epochs", "disk_gb"), "paper")
    return PaperShares(
        cite=str(data.get("cite", "")),
        epochs={
            s: _decimal(f"paper.epochs of {s}", v) for s, v in as_mapping("paper.epochs", data.get("epochs")).items()
        },
        disk_gb={s: _decimal(f"paper.disk_gb of {s}", v) for s, v in (data.get("disk_gb") or {}).items()},
    )


def _refuse_unknown(what: str, named: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raises an error if ``named`` has a key that is not in ``known``. ``where`` is the path of ``named`` in the file;
    it is empty if ``named`` is the whole file."""
    names = list(known)
    unknown = sorted(set(named) - set(names))
    if unknown:
        hint = did_you_mean(unknown[0], names)
        message = f"{what} holds {', '.join(unknown)}, which is not among {', '.join(names)}{hint}"
        raise SettingError(message, f"{where}.{unknown[0]}".lstrip("."))


def _decimal(what: str, value: Any, where: str = "") -> Decimal:
    number = None if isinstance(value, bool) else number_of(value)
    if number is not None:
        return number
    said = str(value)[:200] if isinstance(value, str) else value
    raise SettingError(f"{what} is {said!r}, which is not a number", where)


def _integer(what: str, value: Any, where: str) -> int:
    if value is None:
        raise ValueError(f"{what} is missing")
    number = _decimal(what, value, where)
    if number != number.to_integral_value():
        raise SettingError(f"{what} is {value}, which is not a whole number", where)
    return int(number)
