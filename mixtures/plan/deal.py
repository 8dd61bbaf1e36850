"""Computes how many tokens each source contributes to the stream. The input is the weights and the token counts.

A source contributes whole epochs (each with all its documents), and a part of one more epoch. All decisions use
integers and fractions. The stream's tokens are divided by the largest remainder method, so shares are exact to the
token. ``python -m mixtures.plan`` prints the result as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, lcm

from mixtures.parts import source_of
from mixtures.plan.by_part import by_part
from mixtures.plan.shares import Plan, PlanError, SourcePlan, SourceTokens
from mixtures.plan.table import format_rows, format_table, need_rows
from mixtures.recipe import Recipe
from mixtures.recipe_values import MAX_EPOCHS
from mixtures.weights import percentages

__all__ = ["Plan", "PlanError", "SourcePlan", "SourceTokens", "deal", "epochs_to_weights", "format_table", "plan"]

_MAX_CANDIDATES = 20_000
"""If limits on epochs make the stream shorter than wanted, its length is found by trial. At most this many lengths are
tried, from the longest down. If none of them fits, a shorter length is used that is known to fit.
"""


def plan(
    recipe: Recipe, available: Mapping[str, SourceTokens], num_tokens: int | None = None, *, is_foreseen: bool = False
) -> Plan:
    """Returns a plan that divides the tokens of a stream among the recipe's sources. If a source is divided into parts
    (such as ``github:Python``), the parts replace the source.

    The wanted length of the stream is ``num_tokens``. If ``num_tokens`` is None, it is the recipe's ``tokens``. The
    wanted length is either exact or an upper limit. By default, ``num_tokens`` is exact, and the recipe's ``tokens``
    are an upper limit. The recipe's ``length`` overrides this default.

    A source is too small if the wanted length needs more epochs of the source than its ``max_epochs``. If the length is
    an upper limit, the longest stream for which no source is too small is planned instead. If the length is exact,
    PlanError is raised, unless the recipe has ``missing: share``. Then the source contributes as much as it may, and
    the other sources replace the rest in proportion to their weights. A source that has no tokens, or none that
    earlier stages left, also raises PlanError, unless the recipe has ``missing: share``. Then its weight goes to the
    other sources in the same way.

    If earlier stages of the training used a source, it continues where these stages stopped. Its ``max_epochs`` then
    limits all stages together. If the recipe has ``epochs`` instead of weights, these epochs apply to this stage alone.

    If ``is_foreseen`` is True, ``available`` is an estimate of a run that was not made. Then error messages do not name
    the output of the run.

    Raises:
        PlanError: a source is missing or too small, a source with a weight gets no token, or an available source is
            not in the recipe.

    In this example, each source of the recipe ``sample`` has a million tokens:

    >>> from mixtures.recipe import load_recipe
    >>> have = {s: SourceTokens(1_000_000, 1_000) for s in load_recipe("sample").weights}
    >>> made = plan(load_recipe("sample"), have)
    >>> made.tokens, [s.tokens for s in made.sources][:3]
    (5970150, [4000000, 895522, 268657])
    """
    recipe = by_part(recipe)
    names = recipe.weights
    _check_request(recipe, available, num_tokens)
    empty = [s for s in recipe.weights if s not in available or available[s].tokens < 1]
    if empty and (recipe.missing == "error" or len(empty) == len(recipe.weights)):
        raise PlanError(_missing_message(recipe, available, num_tokens, empty, is_foreseen=is_foreseen))
    limits = _limits(recipe, {s: a for s, a in available.items() if s not in empty})
    ended = [s for s in limits if limits[s] < 1 and available[s].used]
    if ended and (recipe.missing == "error" or len(ended) == len(limits)):
        raise PlanError(_ended_message(recipe, available, ended))
    empty += ended
    recipe = recipe.resolved({s: a.tokens for s, a in available.items() if s not in ended})
    weights = {s: w for s, w in recipe.exact_weights().items() if s not in empty}
    limits = {s: limits[s] for s in weights}
    asked = recipe.tokens if num_tokens is None else num_tokens
    fits = _longest(weights, limits, asked)
    wanted = asked if _is_exact(recipe, num_tokens) else fits
    dealt = deal(wanted, weights)
    short = [s for s in weights if dealt[s] > limits[s]]
    if short and recipe.missing == "share" and sum(limits.values()) >= wanted:
        dealt, short = _deal_within(wanted, weights, limits)
        empty, short = empty + short, []
    if short:
        raise PlanError(_too_small_message(recipe, available, dealt, limits, fits))
    _check_all_have_some(dealt, weights)
    return Plan(
        recipe=recipe.name,
        tokens=wanted,
        sources=tuple(_source_plan(s, recipe.weights[s], dealt[s], available[s]) for s in weights),
        shared_out=tuple(s for s in names if s in empty),
        asked_tokens=0 if num_tokens is None and recipe.is_length_inherited else asked,
        limited_by=_limiting(weights, limits) if wanted < asked else "",
    )


def _check_request(recipe: Recipe, available: Mapping[str, SourceTokens], num_tokens: int | None) -> None:
    unknown = sorted(set(available) - set(recipe.weights))
    if unknown:
        raise PlanError(f"the recipe {recipe.name} has no weight for {', '.join(unknown)}")
    if num_tokens is not None and num_tokens < 1:
        raise PlanError(f"a stream of {num_tokens} tokens cannot be made: ask for a positive number")


def _check_all_have_some(dealt: Mapping[str, int], weights: Mapping[str, Fraction]) -> None:
    starved = [s for s in dealt if not dealt[s]]
    if starved:
        least = ceil(sum(weights.values()) / min(weights.values()))
        raise PlanError(
            f"of {sum(dealt.values()):,} tokens none falls to {', '.join(starved)}, which has a weight: "
            f"a stream of {least:,} or more has some of every source"
        )


def _source_plan(source: str, weight: Decimal, num_tokens: int, available: SourceTokens) -> SourcePlan:
    return SourcePlan(
        source=source,
        weight=weight,
        tokens=num_tokens,
        available_tokens=available.tokens,
        available_documents=available.documents,
        begin_tokens=available.used,
    )


def _is_exact(recipe: Recipe, num_tokens: int | None) -> bool:
    return recipe.length == "exact" or (recipe.length is None and num_tokens is not None)


def deal(num_tokens: int, weights: Mapping[str, Decimal] | Mapping[str, Fraction]) -> dict[str, int]:
    """Divides ``num_tokens`` among the sources in proportion to their weights. Returns a dict with the tokens of each
    source.

    The method is the largest remainder method. First each source gets its exact share, rounded down. The tokens that
    are left go to the sources with the largest remainders, one token each. If sources have equal remainders, the source
    with the greatest weight comes first. If their weights are equal too, the first name comes first.

    >>> deal(10, {"a": Decimal("67"), "b": Decimal("30.5"), "c": Decimal("2.5")})
    {'a': 7, 'b': 3, 'c': 0}
    """
    parts = _whole(weights)
    total = sum(parts.values())
    dealt = {s: num_tokens * part // total for s, part in parts.items()}
    left = num_tokens - sum(dealt.values())
    by_remainder = sorted(parts, key=lambda s: (-(num_tokens * parts[s] % total), -parts[s], s))
    for source in by_remainder[:left]:
        dealt[source] += 1
    return dealt


def epochs_to_weights(available: Mapping[str, int], epochs: Mapping[str, Decimal]) -> dict[str, Fraction]:
    """Returns the weight of each source, in percent, if the stream contains each source as often as ``epochs`` says.

    ``available`` has the number of tokens of each source.

    >>> epochs_to_weights({"a": 300, "b": 50}, {"a": Decimal(1), "b": Decimal(2)})
    {'a': Fraction(75, 1), 'b': Fraction(25, 1)}
    """
    return percentages({s: Fraction(epochs[s]) * tokens for s, tokens in available.items()})


def unique_tokens(recipe: Recipe, num_tokens: int) -> dict[str, Fraction]:
    """Returns how many different tokens of each source a stream of ``num_tokens`` tokens needs.

    With that many tokens, the source is repeated as often as the recipe's paper says. If the recipe has no paper, the
    source is repeated as often as the recipe allows. In this example, a stream of 1.4 trillion tokens needs 852.7
    billion different tokens of CommonCrawl:

    >>> from mixtures.recipe import load_recipe
    >>> f"{float(unique_tokens(load_recipe('llama'), 10**12 * 14 // 10)['common_crawl']) / 1e9:.1f}"
    '852.7'
    """
    recipe = by_part(recipe)
    return {s: w / 100 * num_tokens / Fraction(wanted_epochs(recipe, s)) for s, w in recipe.exact_weights().items()}


def wanted_epochs(recipe: Recipe, name: str) -> Decimal:
    """Returns how many epochs of a source or part the stream should have. This is the number in the recipe's paper. If
    the recipe has no paper, it is the largest number that the recipe allows."""
    return recipe.paper.epochs[source_of(name)] if recipe.paper else recipe.max_epochs[name]


def _whole(weights: Mapping[str, Decimal] | Mapping[str, Fraction]) -> dict[str, int]:
    """Returns integers that are proportional to the weights."""
    exact = {s: Fraction(w) for s, w in weights.items()}
    common = lcm(*(w.denominator for w in exact.values()))
    return {s: int(w * common) for s, w in exact.items()}


def _limits(recipe: Recipe, available: Mapping[str, SourceTokens]) -> dict[str, int]:
    """Returns the largest number of tokens that each source can still contribute. Tokens that earlier stages used are
    subtracted.
    """
    of_stage = recipe.rule is not None and bool(recipe.rule.epochs) and recipe.max_epochs == recipe.rule.epochs
    limits = {}
    for source, have in available.items():
        limit = floor(Fraction(recipe.max_epochs[source]) * have.tokens) - (0 if of_stage else have.used)
        limits[source] = min(limit, MAX_EPOCHS * have.tokens - have.used)
    return limits


def _longest(weights: Mapping[str, Fraction], limits: Mapping[str, int], most: int) -> int:
    """Returns the length, in tokens, of the longest stream in which no source exceeds its limit. The result is at most
    ``most``.

    A stream fits if the exact share of every source is within its limit. A slightly longer stream may fit too, because
    the share of the limiting source may be rounded down. So these few lengths are tried, from the longest down.
    """
    parts = _whole(weights)
    total = sum(parts.values())
    sure = min(limits[s] * total // parts[s] for s in parts)
    beyond = min(-(-(limits[s] + 1) * total // parts[s]) for s in parts)
    for tokens in range(min(beyond, sure + _MAX_CANDIDATES, most), min(sure, most), -1):
        dealt = deal(tokens, weights)
        if all(dealt[s] <= limits[s] for s in dealt):
            return tokens
    return min(sure, most)


def _limiting(weights: Mapping[str, Fraction], limits: Mapping[str, int]) -> str:
    """Returns the source that reaches its limit first if the stream grows.

    In this example, ``b`` reaches its 40 tokens when the stream has 400. At that length, ``a`` has only 360 of its 500:

    >>> _limiting({"a": Fraction(90), "b": Fraction(10)}, {"a": 500, "b": 40})
    'b'
    """
    return min(weights, key=lambda s: (Fraction(limits[s]) / weights[s], s))


def _deal_within(
    num_tokens: int, weights: Mapping[str, Fraction], limits: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    """Divides tokens in proportion to the weights, so that no source exceeds its limit.

    If a source would exceed its limit, it gets exactly its limit. The other sources divide the remaining tokens by
    their weights. Returns a dict with the tokens of each source, and a list of the sources that got exactly their
    limits.
    """
    full: dict[str, int] = {}
    while True:
        rest = {s: w for s, w in weights.items() if s not in full}
        dealt = deal(num_tokens - sum(full.values()), rest)
        over = [s for s in rest if dealt[s] > limits[s]]
        if not over:
            return {s: full.get(s, dealt.get(s, 0)) for s in weights}, list(full)
        full.update((s, limits[s]) for s in over)


def _missing_message(
    recipe: Recipe, available: Mapping[str, SourceTokens], num_tokens: int | None, empty: Sequence[str], *,
    is_foreseen: bool,
) -> str:  # fmt: skip
    is_asked = num_tokens is not None or not recipe.is_length_inherited
    dealt = deal(num_tokens or recipe.tokens, recipe.exact_weights()) if is_asked else {}
    table = format_rows(need_rows(recipe, available, dealt))
    have = "has" if len(empty) == 1 else "have"
    lost = [s for s in empty if s in available]
    kept = "would be kept" if is_foreseen else "was kept: dropped/ and the report say why"
    why = f" (of {', '.join(lost)} there is input, but nothing of it {kept})"
    others = len(recipe.weights) > len(empty)
    return (
        f"{table}\n{', '.join(empty)} {have} a weight but no tokens{why if lost else ''}: "
        f"give {'other ' if lost else ''}input for it"
        + (
            ", take it out of the recipe, or set mixture.missing to share to share its weight out among the others"
            if others
            else ""
        )
    )


def _ended_message(recipe: Recipe, available: Mapping[str, SourceTokens], ended: Sequence[str]) -> str:
    said = [
        f"{s} has run out: earlier stages took {available[s].used:,} of its {available[s].tokens:,} tokens, and it may "
        f"be seen at most {recipe.max_epochs[s]} times over all stages"
        for s in ended
    ]
    return (
        f"{'; '.join(said)}: raise its max_epochs, take it out of the recipe, or set mixture.missing to share to share "
        "its weight out among the others"
    )


def _too_small_message(
    recipe: Recipe,
    available: Mapping[str, SourceTokens],
    dealt: Mapping[str, int],
    limits: Mapping[str, int],
    fits: int,
) -> str:
    table = format_rows(need_rows(recipe, available, dealt))
    said = [
        f"{s} has {available[s].tokens:,} tokens, "
        + (f"earlier stages took {available[s].used:,}, " if available[s].used else "")
        + f"{dealt[s]:,} are wanted of it, and it may be seen at most {recipe.max_epochs[s]} times"
        for s in dealt
        if dealt[s] > limits[s]
    ]
    return f"{table}\n{'; '.join(said)}: at most {fits:,} tokens fit (--tokens {fits}), or raise its max_epochs"
