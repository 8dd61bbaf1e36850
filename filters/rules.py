"""Defines rules: a rule is a limit on a signal (a measurement), with a citation for the limit.

A filter has a list of rules. Each rule names a reason to drop a document, and a limit that can be varied and tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_BROKEN_IF = {"<": pc.less, ">": pc.greater, "<=": pc.less_equal, ">=": pc.greater_equal, "==": pc.equal}


@dataclass(frozen=True, slots=True)
class Rule:
    """Drops a document if ``signal op limit`` is true, for example ``num_chars < 200``."""

    reason: str
    """Name of the fault in snake_case. It is part of the output format, because dropped documents are counted and
    stored by reason."""
    signal: str
    op: str
    limit: float
    cite: str
    """Source of the limit: a paper's section, a system's code, or "ours"."""

    def __post_init__(self) -> None:
        if self.op not in _BROKEN_IF:
            raise ValueError(f"rule {self.reason}: op must be one of {sorted(_BROKEN_IF)}, not {self.op!r}")


def first_broken(signals: Mapping[str, pa.Array], rules: Sequence[Rule]) -> tuple[pa.Array, pa.Array]:
    """Returns two columns: the reason of the first rule that each document breaks, and the value of the rule's signal.
    Both values are null for a document that breaks no rule.

    Raises:
        ValueError: a signal is null for a document that no earlier rule dropped. If a signal can be undefined for some
            documents, an earlier rule must drop these documents with a separate reason.

    >>> rules = [Rule("too_short", "num_chars", "<", 3, "ours")]
    >>> verdict, detail = first_broken({"num_chars": pa.array([2.0, 5.0])}, rules)
    >>> verdict.to_pylist(), detail.to_pylist()
    (['too_short', None], ['2', None])
    """
    num_docs = len(next(iter(signals.values())))
    verdict = pa.nulls(num_docs, pa.string())
    detail = pa.nulls(num_docs, pa.string())
    for rule in rules:
        signal = signals[rule.signal]
        broken = _BROKEN_IF[rule.op](signal, rule.limit)
        undecided = pc.is_null(verdict)
        if pc.any(pc.and_(pc.is_null(broken), undecided)).as_py():
            raise ValueError(f"{rule.signal} is undefined on a document that reached {rule.reason}")
        now = pc.and_(undecided, pc.fill_null(broken, False))
        if not pc.any(now).as_py():
            continue
        verdict = pc.if_else(now, rule.reason, verdict)
        values = pa.array([f"{value:.10g}" for value in signal.filter(now).to_pylist()], pa.string())
        detail = pc.replace_with_mask(detail, now, values)
    return verdict, detail
