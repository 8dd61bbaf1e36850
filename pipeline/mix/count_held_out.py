"""Counts the tokens of each source that are held out for validation, before the number of epochs is computed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import AsDict

from mixtures.subset import Cut, order_hashes
from pipeline.files.checked import write_checked
from pipeline.mix.job import CountJob
from pipeline.mix.last_epoch import FindCuts, lengths, tagged, token_batches
from pipeline.tokenize.held_out import HeldOut, validation_hashes


@dataclass(frozen=True, slots=True)
class _All:
    def __call__(self, source: str, doc_ids: pa.Array, num_tokens: np.ndarray) -> np.ndarray:
        return np.ones(len(doc_ids), dtype=bool)


class CountHeldOut(beam.PTransform):
    """Takes (source, token file). Outputs the path of one file with the numbers of held-out and remaining documents and
    tokens, by source.

    What is held out is either a share of a source's documents, or all its documents up to a cut.
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

    def process(self, part: tuple[str, str], cuts: dict[str, Cut]) -> Iterator[tuple[str, dict[str, int]]]:
        source, path = part
        rule = HeldOut(share=self._job.shares.get(source), cut=cuts.get(source, self._job.cuts.get(source)))
        begun = self._job.begun.get(source)
        counts: Counter[str] = Counter()
        for batch in token_batches(path):
            ids, num_tokens = batch.column("doc_id"), lengths(batch)
            mask = rule.mask(source, ids, num_tokens)
            counts.update(held_documents=int(mask.sum()), held_tokens=int(num_tokens[mask].sum()))
            counts.update(documents=int((~mask).sum()), tokens=int(num_tokens[~mask].sum()))
            if begun is not None:
                taken = ~mask & begun.taken(order_hashes(self._job.seed, source, ids, begun.epoch), ids)
                counts.update(taken_tokens=int(num_tokens[taken].sum()))
        yield source, dict(counts)


class _FinishCount(beam.DoFn):
    def __init__(self, job: CountJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[tuple[str, Any]]]) -> Iterator[str]:
        counts: dict[str, Counter[str]] = {}
        cuts = {}
        num_parts = 0
        for kind, (source, value) in group[1]:
            if kind == "cut":
                cuts[source] = asdict(value)
            else:
                counts.setdefault(source, Counter()).update(value)
                num_parts += 1
        wanted = sum(parts.num_parts for parts in self._job.parts)
        assert num_parts == wanted, f"{num_parts} of {wanted} token files were counted"
        result = {"sources": {s: dict(c) for s, c in sorted(counts.items())}, "cuts": cuts}
        write_checked(self._job.result_path, json.dumps(result).encode())
        yield self._job.result_path
