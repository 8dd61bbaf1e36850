"""Finds the part of the mixture to which each document belongs. A recipe can divide a source into parts by the values
of a column.

For kept documents, ``clean/`` has the column. ``dropped/`` has few columns, so the part of a dropped document can be
unknown. It can be known only if the column is ``language``, ``bucket``, ``host`` or ``url``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.ccnet.perplexity import BUCKETS, Perplexity
from filters.language.detect import UNDETERMINED
from mixtures.part_rows import part_numbers
from mixtures.parts import PartRule, part_name
from pipeline.report.documents import Floats
from pipeline.report.rejudge import Change, Documents
from pipeline.tokenize.part_column import part_values

Names = npt.NDArray[np.object_]
"""One part per document. None means that the part is unknown."""
LEFT_OUT = ""
"""The name for documents that belong to no part, so the recipe leaves them out of the mixture."""


@dataclass(frozen=True, slots=True)
class PartsOf:
    """Finds the parts of a source's documents. ``rule`` says how the recipe divides the source into parts. If it is
    None, the whole source is one part.
    """

    source: str
    rule: PartRule | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of ``clean/`` and ``dropped/`` that must be read."""
        return () if self.rule is None else (self.rule.by, "url")

    def of_clean(self, batch: pa.RecordBatch) -> Names:
        """Returns the name of the part to which each kept document belongs."""
        if self.rule is None:
            return np.full(batch.num_rows, self.source, dtype=object)
        return self._named(part_values(batch, self.rule.by))

    def of_kept(self, batch: pa.RecordBatch, documents: Documents, changes: Sequence[Change]) -> Names:
        """Returns the name of the part to which each kept document belongs with the changed settings. If the parts are
        perplexity buckets and the changes move the ends of the buckets, a document can move to another part. Otherwise
        the result is that of :meth:`of_clean`.
        """
        moved = next(
            (c for c in changes if isinstance(c.before, Perplexity) and c.cutoffs_after != c.cutoffs_before), None
        )
        if self.rule is None or self.rule.by != "bucket" or moved is None:
            return self.of_clean(batch)
        buckets = buckets_of(documents.languages, documents.signal("perplexity"), moved.cutoffs_after)
        return self._named(pa.array(buckets.tolist(), pa.string()))

    def of_dropped(self, batch: pa.RecordBatch, documents: Documents, cutoffs: Mapping[str, Sequence[float]]) -> Names:
        """Returns the part of each dropped document; None if ``dropped/`` does not show it.

        Args:
            cutoffs: the cut-offs of perplexity after the changes.
        """
        num_docs = batch.num_rows
        if self.rule is None:
            return np.full(num_docs, self.source, dtype=object)
        by = self.rule.by
        known = np.zeros(num_docs, dtype=bool)
        values = pa.nulls(num_docs, pa.string())
        if by == "language":
            known = ~np.isin(documents.languages.astype(str), ["", UNDETERMINED])
            values = pa.array(documents.languages.tolist(), pa.string())
        elif by == "bucket":
            perplexity = documents.signal("perplexity")
            known = ~np.isnan(perplexity)
            values = pa.array(buckets_of(documents.languages, perplexity, cutoffs).tolist(), pa.string())
        elif by in ("host", "url") and "url" in batch.schema.names:
            known = np.array(batch.column("url").is_valid().to_pylist(), dtype=bool)
            values = part_values(batch, by)
        names = self._named(values)
        names[~known] = None
        return names

    def _named(self, values: pa.Array) -> Names:
        assert self.rule is not None
        names = np.array([*(part_name(self.source, value) for value in self.rule.weights), LEFT_OUT], dtype=object)
        found: Names = names[part_numbers(self.rule, values)]  # -1, the last name, if the rule leaves a value out
        return found


def buckets_of(languages: Names, perplexity: Floats, cutoffs: Mapping[str, Sequence[float]]) -> Names:
    """Returns the perplexity bucket of each document. It is ``all`` if the document has no perplexity.

    >>> buckets_of(np.array(["en", "en", "de"]), np.array([300.0, 600.0, np.nan]), {"en": [340.0, 520.0]}).tolist()
    ['head', 'tail', 'all']
    """
    found = np.full(len(perplexity), BUCKETS[-1], dtype=object)
    for language, (head, tail) in cutoffs.items():
        its = (languages == language) & ~np.isnan(perplexity)
        found[its & (perplexity < head)] = "head"
        found[its & (perplexity >= head) & (perplexity < tail)] = "middle"
        found[its & (perplexity >= tail)] = "tail"
    return found
