"""Tests that the report explains every stage and every reason of every bundled source in a sentence."""

from __future__ import annotations

import pytest

from pipeline.report.explained import cite_of, limits_of, reason_sentence, reasons_of, record_sentence, rule_of
from pipeline.sources import SOURCES
from pipeline.sources.all_steps import UNPLACED
from pipeline.sources.corpora.reader import CorpusReader
from pipeline.sources.optional_steps import OPTIONAL_STEPS
from pipeline.sources.source import UNKNOWN_FORM, AnyStep

STEPS = {
    **{f"{name}.{step.NAME}": step for name, source in SOURCES.items() for step in source.steps},
    **{step.NAME: step for step in (*UNPLACED, *OPTIONAL_STEPS.values())},
}
CUTOFFS = {"en": [340.0, 520.0]}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_every_step_and_its_reasons_have_sentences(step: AnyStep) -> None:
    assert rule_of(step).endswith(".")
    assert "`" not in rule_of(step)
    assert cite_of(step)
    limits = limits_of(step, CUTOFFS)
    lacking = [r for r in reasons_of(step) if not reason_sentence(r, [one for one in limits if one.reason == r])]
    assert lacking == []


def test_every_reason_of_a_record_has_a_sentence() -> None:
    readers = [source.reader for source in SOURCES.values()]
    reasons = {reason for one in (*readers, CorpusReader) for reason in (*one.BROKEN, *one.NOT_BROKEN)}
    assert len(reasons) > 80
    assert sorted(reason for reason in {*reasons, UNKNOWN_FORM} if not record_sentence(reason)) == []


def test_sentences_are_sentences() -> None:
    from pipeline.report.reasons import DROPPED, RECORDS

    for reason, sentence in {**DROPPED, **RECORDS}.items():
        assert sentence[0].isupper(), reason
        assert sentence.endswith("."), reason
