"""Makes lines that are printed with a recount (an estimate of what a run with changed settings would keep). The lines
say which numbers are guessed, and how to run with changed cut-offs of perplexity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from filters.ccnet.perplexity import HEAD_PERCENTILE, TAIL_PERCENTILE
from mixtures.parts import PartRule
from pipeline.report.amounts import Amounts
from pipeline.report.rejudge import Change


def told_of_cutoffs(changes: Sequence[Change]) -> Iterator[str]:
    """Yields lines that say how to run with changed cut-offs of perplexity (the values at which perplexity buckets
    end). No setting changes the cut-offs: a run reads them from a file in the folder of the models.
    """
    for change in changes:
        before, after = change.cutoffs_before, change.cutoffs_after
        for place, (bucket, row) in enumerate((("head", HEAD_PERCENTILE), ("middle", TAIL_PERCENTILE))):
            moved = sorted(name for name in after if after[name][place] != before[name][place])
            if moved:
                values = " and ".join(f"{after[name][place]:.10g} in the column {name}" for name in moved)
                alone = f"; perplexity.{bucket}.{moved[0]}=N moves one language alone" if len(moved) > 1 else ""
                yield (
                    f"perplexity.{bucket} is no setting: a run reads it from cutoff.csv in the folder of --models, in "
                    f"the row {row}; write {values} there and run again{alone}"
                )


def told_of_amounts(amounts: Amounts, rule: PartRule | None, *, has_tokens: bool) -> Iterator[str]:
    """Yields lines about guesses in a recount. A document that the run dropped may pass the same stage with the changed
    settings. If the tokens or the part of such a document are not known, they are guessed.
    """
    if amounts.without_length and has_tokens:
        yield (
            f"{amounts.without_length:,} of those that would come back have no length in dropped/; each counts the "
            "tokens of an average kept document"
        )
    if amounts.without_part and rule is not None:
        yield (
            f"dropped/ does not show the {rule.by} of {amounts.without_part:,} of those that would come back; they are "
            "divided among the parts like the kept documents"
        )
