"""Converts a recipe that gives weights to sources into a recipe that gives weights to parts.

A part consists of the documents of one source that have the same value in a column, for example ``github:Python``. The
mixture is planned from the converted recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from mixtures.parts import names_of, source_of, value_of
from mixtures.recipe import Recipe
from mixtures.weights import WeightRule, percentages, shown


def by_part(recipe: Recipe) -> Recipe:
    """Returns a recipe in which each divided source is replaced by its parts.

    If the recipe gives the weight of a source and the weights of its values, they determine the weight of each part.
    Otherwise the weight of a part follows from the available tokens (`Recipe.resolved`). The new recipe has no settings
    for validation, because documents are held out by source, not by part. A recipe without parts is returned unchanged.

    In this example, the source ``github`` has the weight 9. Its parts ``Python`` and ``other`` share it 2 to 1:

    >>> from mixtures.recipe import recipe_of
    >>> parts = {"weight": 9, "by": "programming_language", "Python": 2, "other": 1}
    >>> made = by_part(recipe_of({"name": "t", "mixture": {"weights": {"web": 91, "github": parts}, "tokens": 1000}}))
    >>> {name: f"{weight:f}" for name, weight in made.weights.items()}
    {'web': '91', 'github:Python': '6', 'github:other': '3'}
    """
    if not recipe.parts:
        return recipe
    names = [name for source in recipe.weights for name in names_of(recipe.parts, source)]
    limits = {name: _limit(recipe, name) for name in names}
    exact = {name: _nominal(recipe, name) for name in names}
    if recipe.rule is not None and recipe.rule.epochs:
        rule = WeightRule(epochs={name: _epochs(recipe, name, recipe.rule.epochs) for name in names})
    elif recipe.rule is not None:
        rule = replace(recipe.rule, fixed=recipe.exact_weights(), parts=recipe.parts)
    else:
        rule = WeightRule(fixed=recipe.exact_weights(), parts=recipe.parts)
    return replace(recipe, parts={}, validation={}, rule=rule, exact=exact, max_epochs=limits, weights=shown(exact))


def _nominal(recipe: Recipe, name: str) -> Fraction:
    """Returns the weight, in percent, that the recipe gives to a source or a part. Ignores how many tokens are
    available.
    """
    source, value = source_of(name), value_of(name)
    whole = recipe.exact_weights()[source]
    return whole if value is None else whole / 100 * percentages(recipe.parts[source].weights)[value]


def _limit(recipe: Recipe, name: str) -> Decimal:
    source, value = source_of(name), value_of(name)
    of_source = recipe.max_epochs[source]
    return of_source if value is None else recipe.parts[source].most_epochs(value, of_source)


def _epochs(recipe: Recipe, name: str, of_sources: Mapping[str, Decimal]) -> Decimal:
    source, value = source_of(name), value_of(name)
    return of_sources[source] if value is None else recipe.parts[source].weights[value]
