"""Formats a plan as a table of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from mixtures.parts import source_of
from mixtures.plan.by_part import by_part
from mixtures.recipe import Recipe

if TYPE_CHECKING:
    from mixtures.plan.shares import Plan, SourceTokens

HEADER = ("source", "weight %", "available tokens", "documents", "wanted tokens", "share %", "epochs", "at most")
"""The columns of :func:`table_rows`."""


def shown_epochs(epochs: float, decimals: int = 2) -> str:
    """Returns a number of epochs as text. Small numbers have two significant digits, so that only 0 is shown as 0.

    >>> shown_epochs(1.1), shown_epochs(0.003138), shown_epochs(0.0), shown_epochs(3e-6)
    ('1.10', '0.0031', '0.00', '< 0.001')
    """
    if 0 < epochs < 0.001:
        return "< 0.001"
    return f"{epochs:.2g}" if 0 < epochs < 10 ** (1 - decimals) else f"{epochs:.{decimals}f}"


def table_rows(recipe: Recipe, made: Plan) -> list[tuple[str, ...]]:
    """Returns the plan as rows of text with the columns of :data:`HEADER`. The last row is the total."""
    recipe = by_part(recipe)
    rows: list[tuple[str, ...]] = [
        (
            s.source,
            f"{s.weight:f}",
            f"{s.available_tokens:,}",
            f"{s.available_documents:,}",
            f"{s.tokens:,}",
            f"{float(made.share(s.source)):.3f}",
            shown_epochs(float(s.epochs), decimals=3),
            f"{recipe.max_epochs[s.source]:f}",
        )
        for s in made.sources
    ]
    tokens = sum(s.available_tokens for s in made.sources)
    documents = sum(s.available_documents for s in made.sources)
    weight = sum((s.weight for s in made.sources), Decimal(0))
    seen = shown_epochs(made.tokens / tokens, decimals=3)
    rows.append(("total", f"{weight:f}", f"{tokens:,}", f"{documents:,}", f"{made.tokens:,}", "100.000", seen, ""))
    return rows


def need_rows(recipe: Recipe, available: Mapping[str, SourceTokens], dealt: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Returns one row per source, which compares its available tokens with its wanted tokens.

    The columns are those of :data:`HEADER`. If a mixture cannot be made, the error message shows these rows.

    Args:
        dealt: the wanted tokens of each source. Empty if nobody asked for a length. Then the rows have "-" in place of
            the wanted tokens.
    """
    recipe, total = by_part(recipe), sum(dealt.values())
    rows: list[tuple[str, ...]] = []
    for source, weight in recipe.weights.items():
        have, want = available.get(source), dealt.get(source, 0)
        tokens, documents = (have.tokens, have.documents) if have else (0, 0)
        rows.append(
            (
                source,
                f"{weight:f}",
                f"{tokens:,}",
                f"{documents:,}",
                f"{want:,}" if dealt else "-",
                f"{100 * want / total:.3f}" if dealt else f"{weight:.3f}",
                f"{want / tokens:.3f}" if tokens and dealt else "-",
                f"{recipe.max_epochs[source]:f}",
            )
        )
    return rows


def format_table(recipe: Recipe, made: Plan) -> str:
    """Returns the plan as a table of plain text.

    A line below the table names the sources whose weight went to other sources because they have too few tokens.
    Another line says why the stream is shorter than wanted. Each line is left out if it does not apply.
    """
    table = format_rows(table_rows(recipe, made))
    if made.shared_out:
        table += f"\nweight shared out among the others: {', '.join(made.shared_out)}"
    short = shortfall(recipe, made)
    return f"{table}\n{short}" if short else table


def shortfall(recipe: Recipe, made: Plan) -> str:
    """Returns a sentence that says why the stream is shorter than wanted. Returns "" if it has the wanted length.

    The sentence names the source that limits the length, and says how to make the stream longer. If nobody asked for a
    length, the sentence names no wanted length. In this case, returns "" too if no source could be used more often.
    """
    limits = by_part(recipe).max_epochs
    if not made.limited_by or (not made.asked_tokens and _is_used_up(made, limits)):
        return ""
    of = next(s for s in made.sources if s.source == made.limited_by)
    most = limits[of.source]
    asked = ""
    if made.asked_tokens:
        by = "mixture.tokens asks for" if made.asked_tokens == recipe.tokens else "were asked for"
        asked = f" of the {made.asked_tokens:,} tokens that {by}"
    held = " (without those held out for validation)" if source_of(of.source) in recipe.validation else ""
    used = f", {of.begin_tokens:,} of them used by earlier stages" if of.begin_tokens else ""
    return (
        f"the stream has {made.tokens:,}{asked or ' tokens'}, because {of.source} "
        f"limits it: it has {of.available_tokens:,} tokens{held}{used}, may be seen at most "
        f"{most:f} times, and is {float(of.weight):.4g} % of the stream; give more input for "
        "it, raise its max_epochs, or lower its weight"
    )


def _is_used_up(made: Plan, limits: Mapping[str, Decimal]) -> bool:
    """True if every source is used as often as it may be, except for tokens that rounding left."""
    used = {s.source: s.begin_tokens + s.tokens for s in made.sources}
    return all(limits[s.source] * s.available_tokens - used[s.source] < 2 for s in made.sources)


def format_rows(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """Returns a table of text with aligned columns. The first column is aligned to the left, the others to the right.

    >>> print(format_rows([("a", "1"), ("bc", "20")], ("x", "n")))
    x    n
    a    1
    bc  20
    """
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
