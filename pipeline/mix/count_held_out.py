"""Counts, for each source, the tokens that are held out for validation and the tokens that remain. Later, the number of
epochs is computed from the remaining tokens.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import AsDict

from mixtures.part_rows import rows_by_part
from mixtures.parts import names_of
from mixtures.subset import Cut, order_hashes
from pipeline.files.checked import write_checked
from pipeline.mix.job import CountJob
from pipeline.mix.last_epoch import FindCuts, lengths, tagged, token_batches
from pipeline.tokenize.held_out import HeldOut, validation_hashes

_MAX_VALUES = 30
"""The largest number of values of a column that a message lists. The values with the most documents are listed."""


@dataclass(frozen=True, slots=True)
class _All:
    def __call__(self, source: str, doc_ids: pa.Array, num_tokens: np.ndarray) -> np.ndarray:
        return np.ones(len(doc_ids), dtype=bool)


class CountHeldOut(beam.PTransform):
    """Counts held-out and remaining documents and tokens. Takes (source, token file). Outputs the path of one file,
    which has these counts for each source.

    The recipe holds out either a share of a source's documents or a number of its tokens. If it holds out a number of
    tokens, the documents are ordered by a hash, and as many of the first documents as needed are held out. The place
    where they end is the cut, which the file also has.

    If the recipe divides a source into parts, each part has its own counts. For such a source, the file also has the
    counts of the documents that belong to no part.
    """

    def __init__(self, job: CountJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, parts: Any) -> Any:
        cuts = parts | "cuts" >> FindCuts(self._job.wanted_tokens, validation_hashes, _All())
        return (
            (
                parts
                | "count" >> beam.ParDo(_CountPart(self._job), AsDict(cuts))
                | "tag_parts" >> beam.Map(tagged, "part"),
                cuts | "tag_cuts" >> beam.Map(tagged, "cut"),
            )
            | "flatten" >> beam.Flatten()
            | "gather" >> beam.GroupByKey()
            | "finish" >> beam.ParDo(_FinishCount(self._job))
        )


class _CountPart(beam.DoFn):
    def __init__(self, job: CountJob) -> None:
        self._job = job

    def process(self, part: tuple[str, str], cuts: dict[str, Cut]) -> Iterator[tuple[str, dict[str, Any]]]:
        source, path = part
        rule = HeldOut(share=self._job.shares.get(source), cut=cuts.get(source, self._job.cuts.get(source)))
        counts: dict[str, Counter[str]] = {name: Counter() for name in names_of(self._job.rules, source)}
        left_out, values = Counter[str](), Counter[str]()
        for batch in token_batches(path):
            all_tokens = lengths(batch)
            left_out.update(documents=batch.num_rows, tokens=int(all_tokens.sum()))
            if source in self._job.rules:
                _add_values(values, batch.column("part"))
            for name, ids, num_tokens, _ in rows_by_part(self._job.rules.get(source), source, batch, all_tokens):
                mask, own = rule.mask(source, ids, num_tokens), counts[name]
                own.update(held_documents=int(mask.sum()), held_tokens=int(num_tokens[mask].sum()))
                own.update(documents=int((~mask).sum()), tokens=int(num_tokens[~mask].sum()))
                begun = self._job.begun.get(name)
                if begun is not None:
                    taken = ~mask & begun.taken(order_hashes(self._job.seed, source, ids, begun.epoch), ids)
                    own.update(taken_tokens=int(num_tokens[taken].sum()))
                left_out.subtract({"documents": len(ids), "tokens": int(num_tokens.sum())})
        yield source, {"parts": {name: dict(own) for name, own in counts.items()}, "left_out": dict(left_out),
                       "values": dict(values.most_common(_MAX_VALUES))}  # fmt: skip


def _add_values(values: Counter[str], column: pa.Array) -> None:
    """Counts how many documents have each value of a column, and adds the counts to ``values``.

    To limit memory, the counts of rare values are discarded if there are too many values.
    """
    for one in pc.value_counts(column).to_pylist():
        values[one["values"]] += one["counts"]
    if len(values) > 100 * _MAX_VALUES:
        kept = values.most_common(10 * _MAX_VALUES)
        values.clear()
        values.update(dict(kept))


def _most_common(values: Counter[str]) -> dict[str, int]:
    """Returns the values with the most documents, and the numbers of documents. The result does not depend on the order
    in which the values were counted.
    """
    return dict(sorted(values.items(), key=lambda value: (-value[1], str(value[0])))[:_MAX_VALUES])


class _FinishCount(beam.DoFn):
    def __init__(self, job: CountJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[tuple[str, Any]]]) -> Iterator[str]:
        counts: dict[str, Counter[str]] = {}
        left_out: dict[str, Counter[str]] = {s: Counter() for s in self._job.rules}
        values: dict[str, Counter[str]] = {s: Counter() for s in self._job.rules}
        cuts = {}
        num_parts = 0
        for kind, (source, value) in group[1]:
            if kind == "cut":
                cuts[source] = asdict(value)
            else:
                for name, own in value["parts"].items():
                    counts.setdefault(name, Counter()).update(own)
                if source in self._job.rules:
                    left_out[source].update(value["left_out"])
                    values[source].update(value["values"])
                num_parts += 1
        wanted = sum(parts.num_parts for parts in self._job.parts)
        assert num_parts == wanted, f"{num_parts} of {wanted} token files were counted"
        result = {
            "sources": {s: dict(c) for s, c in sorted(counts.items())},
            "cuts": dict(sorted(cuts.items())),
            "left_out": {s: {n: c[n] for n in ("documents", "tokens")} for s, c in sorted(left_out.items())},
            "values": {s: _most_common(c) for s, c in sorted(values.items())},
        }
        write_checked(self._job.result_path, json.dumps(result).encode())
        yield self._job.result_path
