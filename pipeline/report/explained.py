"""Explains the stages and the drop reasons of a run in sentences. A stage is one step of a source. The explanation of a
stage has the rule, the settings in this run, and the origin of the rule.

The rules come from docstrings. ``docs/recipe.md`` is made from these docstrings too.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from filters.decontaminate.step import Decontaminate
from filters.exclude import Excluded
from filters.step import Step
from pipeline.report.limits import Limit, limits_of, title_of
from pipeline.report.output_state import SourceState
from pipeline.report.reasons import DROPPED, RECORDS
from pipeline.sources import SOURCES
from pipeline.sources.across_step import ACROSS, AcrossDedup
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.source import AnyStep

_OPERATORS = {"<": "under", "<=": "at most", ">": "over", ">=": "at least", "==": "exactly"}
_MAX_SETTING_CHARS = 60
_ADDED: Mapping[str, AnyStep] = {step.NAME: step for step in (Excluded(), AcrossDedup(), Decontaminate())}
"""Steps that a run may add to a source."""
_ADDED_DOCS = {
    Excluded.NAME: "formats.md#configuration", ACROSS: "dedup.md#across-sources",
    Decontaminate.NAME: "decontamination.md",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """Holds the explanation of a stage: its rule, the origin of the rule, and the settings in this run."""

    rule: str
    cite: str
    settings: str
    """The settings of the stage in this run, as ``name = value``."""
    doc: str
    """The page of the documentation that has the rule."""


def explain_stage(source: SourceState, stage: str) -> Explanation:
    """Returns the explanation of a stage of a source. If this version of the package has no such stage, all texts are
    empty.
    """
    step = next((one for one in source.source.steps if stage == one.NAME), None) if source.source else None
    if step is None and stage in _ADDED:
        return Explanation(
            _first_paragraph(type(_ADDED[stage])), cite_of(_ADDED[stage]), "", f"docs/{_ADDED_DOCS[stage]}"
        )
    if step is None:
        return Explanation("", "", "", "")
    doc = f"docs/recipe.md#{source.name}" if source.name in SOURCES else "docs/corpora.md"
    return Explanation(rule_of(step), cite_of(step), settings_of_step(step), doc)


def rule_of(step: Any) -> str:
    """Returns the rule of a step or a reader. The rule is the attribute ``RULE`` or ``rule``. If there is no such
    attribute, the rule is the first paragraph of the docstring.

    >>> from pipeline.sources import SOURCES
    >>> rule_of(SOURCES["common_crawl"].steps[0])
    'Drops documents with fewer than min_chars characters (code points, including line ends and spaces).'
    """
    own = getattr(step, "rule", "") or getattr(step, "RULE", "")
    return _plain(own) if own else _first_paragraph(type(step))


def _first_paragraph(kind: type) -> str:
    return _plain((inspect.getdoc(kind) or "").split("\n\n", 1)[0])


def _plain(text: str) -> str:
    return " ".join(re.sub(r":\w+:`~?([^`]+)`", r"\1", text).replace("`", "").split())


def cite_of(step: Any) -> str:
    """Returns the origin of the rule of a step."""
    return (getattr(step, "cite", "") or getattr(step, "CITE", "") or "ours").replace("`", "")


def settings_of_step(step: AnyStep) -> str:
    """Returns the settings of a step as a text.

    >>> from pipeline.sources import SOURCES
    >>> settings_of_step(SOURCES["common_crawl"].steps[0])
    'min_chars = 300'
    """
    fixed = DedupStep.FIXED
    fields = [one.name for one in dataclasses.fields(step) if one.name not in fixed and one.name[0] != "_"]  # type: ignore[arg-type]
    return ", ".join(f"{name} = {_value(getattr(step, name))}" for name in fields)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Sequence | frozenset | set) and not isinstance(value, str):
        text = ", ".join(sorted(map(str, value)) if isinstance(value, frozenset | set) else map(str, value))
        return text if len(text) <= _MAX_SETTING_CHARS else f"{len(value)} values"
    text = str(value)
    return text if len(text) <= _MAX_SETTING_CHARS else text[: _MAX_SETTING_CHARS - 1] + "…"


def reason_sentence(reason: str, limits: Sequence[Limit] = ()) -> str:
    """Returns a sentence that explains a drop reason. If the reason has limits, the sentence names them.

    >>> limit = Limit(stage="a", reason="too_short", signal="num_chars", op="<", value=300.0)
    >>> reason_sentence("too_short", [limit])
    'Characters per document: under 300.'
    >>> reason_sentence("bad_word")
    'The page has a word of the list.'
    """
    return " ".join(one for one in (DROPPED.get(reason, ""), *map(limit_sentence, limits)) if one)


def limit_sentence(limit: Limit) -> str:
    """Returns a limit as a sentence.

    >>> limit_sentence(Limit(stage="a", reason="b", signal="perplexity", op=">=", value=520.0, language="en"))
    'Perplexity (en): at least 520.'
    """
    title = title_of(limit.signal)
    where = f" ({limit.language})" if limit.language else ""
    return f"{title[:1].upper()}{title[1:]}{where}: {_OPERATORS[limit.op]} {limit.value:,.10g}."


def record_sentence(reason: str) -> str:
    """Returns a sentence that explains why an input record (such as a line of JSON) did not become a document. Returns
    an empty text if there is no sentence for the reason.

    >>> record_sentence("not_json")
    'The line is no JSON.'
    """
    return RECORDS.get(reason, "")


def limits_by_reason(source: SourceState) -> Mapping[tuple[str, str], list[Limit]]:
    """Returns the limits of a source's steps, by stage and reason."""
    found: dict[tuple[str, str], list[Limit]] = {}
    for step in source.source.steps if source.source else ():
        for limit in limits_of(step, source.cutoffs):
            found.setdefault((limit.stage, limit.reason), []).append(limit)
    return found


def can_drop(source: SourceState, stage: str) -> bool:
    """True if the stage is a step of the source that may drop documents."""
    steps = source.source.steps if source.source else ()
    return any(bool(reasons_of(step)) for step in steps if stage == step.NAME)


def reasons_of(step: AnyStep) -> tuple[str, ...]:
    """Returns the reasons for which a step drops documents."""
    return step.REASONS if isinstance(step, Step) else step.reasons
