"""Refuses a mixture in which a source has no document left, before a tokenizer is trained.

At this point no token is counted yet. So the table in the message has numbers of documents and of bytes of text, and no
numbers of tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mixtures.plan.shares import PlanError
from mixtures.plan.table import format_rows
from mixtures.recipe import Recipe
from pipeline.files.files import read_bytes
from pipeline.output.paths import Layout
from pipeline.progress.closing_table import dropped_all

_HEADER = ("source", "weight %", "documents in", "kept", "bytes of text")


def check_kept(recipe: Recipe, layout: Layout, sources: Sequence[str]) -> None:
    """Checks that every source of a mixture has a document left after cleaning.

    Checks nothing if the recipe gives the weight of a source without documents to the other sources (``missing:
    share``).

    Args:
        sources: the sources of the mixture whose clean phase is finished.

    Raises:
        PlanError: a source has no document. The message has a table of all sources, and says which step dropped the
            documents and what to do.
    """
    if recipe.missing != "error":
        return
    stats = {s: json.loads(read_bytes(Layout(layout.clean_output).stats(s))) for s in sources}
    empty = [s for s, one in stats.items() if not one["bytes"]["kept"]]
    if not empty:
        return
    rows = []
    for name, one in stats.items():
        weight = f"{recipe.weights[name]:f}" if recipe.rule is None else "-"
        documents = one["documents"]
        rows.append((name, weight, f"{documents['in']:,}", f"{documents['kept']:,}", f"{one['bytes']['kept']:,}"))
    why = [dropped_all(s, stats[s]) or f"{s}: its input has no document" for s in empty]
    raise PlanError(
        "\n".join([format_rows(rows, _HEADER), *why])
        + f"\ngive other input for {', '.join(empty)}, change the settings of that step, take it out of the recipe, or "
        "set mixture.missing to share to share its weight out among the others"
    )
