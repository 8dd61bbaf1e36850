"""Tests rules that every step of every source must follow. The tests loop over the table of sources, so they include
new sources.

For an empty column, the result is empty. No document's result depends on its neighbours. A slice of a batch gets the
same results as in the whole batch. Each reason of a step occurs in a case of ``tests/cases/laws``, which has one file
per source and one document per reason.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.ccnet.perplexity import Cutoffs
from filters.exclude import Excluded
from filters.step import Outcome, Step
from filters.url_lists import UrlEntries
from pipeline.clean.batches import BASE_COLUMNS, batch_to_bytes, reader_schema
from pipeline.clean.segments import is_local
from pipeline.models.find import find_models
from pipeline.models.load import load
from pipeline.output.fingerprint import recorded
from pipeline.settings.bundled_sample import models_folder
from pipeline.settings.source_settings import configured
from pipeline.sources import SOURCES
from pipeline.sources.all_steps import UNPLACED
from pipeline.sources.source import Source

CASES = Path(__file__).parents[1] / "cases" / "laws"

# The exclusion list is no source's own step: a run puts it before the others of each.
EXCLUSION = dataclasses.replace(SOURCES["common_crawl"], name="exclusion", steps=(Excluded(),))
# Nor are the filters that a configuration file alone gives a source.
RULE_SETS = dataclasses.replace(SOURCES["common_crawl"], name="rule_sets", steps=UNPLACED)
ALL: dict[str, Source] = {**SOURCES, EXCLUSION.name: EXCLUSION, RULE_SETS.name: RULE_SETS}
PLACES = [(name, index) for name, source in ALL.items() for index, step in enumerate(source.steps) if is_local(step)]
IDS = [f"{name}-{ALL[name].steps[index].NAME}" for name, index in PLACES]
each_step = pytest.mark.parametrize(("name", "index"), PLACES, ids=IDS)

ODD_TEXTS = (
    "",
    "\n \t\n",
    "\x00\x01\x7f",
    "\ufeffe\u0301 ﷽ 日本語のテキスト。 한국어 \U0001f600 \u200b",
    "line\r\nline\u2028line\x85line\x0bline\x0c",
    "{{{{[[|}}]] \\begin{document} \\def\\a{\\a}\\a <b>&amp;</b> <!-- </ref> -->",
    "a" * 3_000,
    "The first sentence of a page. The second one. And the third.\nA line of its own, as long as a sentence is.",
)


@functools.cache
def models() -> Mapping[str, Any]:
    """Returns the sample's models, by the keys with which steps request them."""
    folder = models_folder()
    loaded = {key: load(key, path) for key, path in find_models(str(folder)).items()}
    loaded["tokenizer"] = load("tokenizer", str(folder / "en.sp.model"))
    lists = {"adult": UrlEntries.of(["bad.example"], ["host.example/bad/"])}
    exclusions = frozenset({"example.com", "doc-1"})
    return loaded | {"bad_words": ("naughty",), "exclude": exclusions, "url_lists": lists}


@functools.cache
def cases_of(name: str) -> list[dict[str, Any]]:
    path = CASES / f"{name}.json"
    assert path.is_file(), f"a source without cases: write {path}, a document for each reason of each step"
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return found


def schema_before(name: str, index: int) -> pa.Schema:
    """Returns the columns of a batch when it reaches a step: the base columns, the reader's, and those that earlier
    steps add.
    """
    source = ALL[name]
    columns = dict(source.reader.COLUMNS)
    for step in source.steps[:index]:
        columns |= {n: t for n, t in getattr(step, "COLUMNS", {}).items() if n not in BASE_COLUMNS}
    return reader_schema(columns)


def batch_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    full = []
    for number, row in enumerate(rows):
        unknown = set(row) - set(schema.names)
        assert not unknown, f"no such column at this step: {unknown}"
        full.append(
            {"id": f"id-{number}", "source": "s", "language": "und"} | dict(row) | {"text": text_of(row["text"])}
        )
    return pa.RecordBatch.from_pylist(full, schema=schema)


def text_of(written: Any) -> str:
    """Returns the text of a case. A long text is stored as ``[[piece, times], ...]``: each piece is repeated ``times``
    times.
    """
    return written if isinstance(written, str) else "".join(piece * times for piece, times in written)


def rows_of(name: str, step: Any) -> list[dict[str, Any]]:
    return [case["row"] for case in cases_of(name) if case["step"] == step.NAME]


def corpus(name: str, index: int) -> pa.RecordBatch:
    """Returns a batch with the documents of all cases of a step, and with texts that are unlikely in any source."""
    rows = rows_of(name, ALL[name].steps[index])
    return batch_of([*rows, *({"text": text} for text in ODD_TEXTS)], schema_before(name, index))


def apply(step: Any, batch: pa.RecordBatch) -> Outcome:
    outcome: Outcome = step.apply(batch, {key: models()[key] for key in step.MODELS})
    return outcome


def answers(outcome: Outcome) -> dict[str, list[str]]:
    """Returns everything in a step's outcome, by name. Values are converted to text, so that NaN equals NaN and 1
    differs from 1.0.
    """
    said = {"verdict": outcome.verdict, **{f"column {n}": a for n, a in outcome.columns.items()}}
    said |= {f"signal {n}": a for n, a in outcome.signals.items()}
    if outcome.detail is not None:
        said["detail"] = outcome.detail
    return {key: [repr(value) for value in array.to_pylist()] for key, array in said.items()}


def check_form(outcome: Outcome, step: Any, batch: pa.RecordBatch) -> None:
    num_docs = batch.num_rows
    assert outcome.verdict.type == pa.string()
    assert len(outcome.verdict) == num_docs
    assert set(outcome.verdict.drop_null().to_pylist()) <= set(step.REASONS)
    if outcome.detail is not None:
        assert outcome.detail.type == pa.string()
        assert len(outcome.detail) == num_docs
        kept = [d for d, v in zip(outcome.detail.to_pylist(), outcome.verdict.to_pylist(), strict=True) if v is None]
        assert set(kept) <= {None}, "a detail of a document that is kept"
    assert set(outcome.columns) <= set(step.COLUMNS) | set(batch.schema.names), "a column that nobody declared"
    assert set(step.COLUMNS) <= set(outcome.columns), "a declared column that is not given"
    for column, array in outcome.columns.items():
        known = batch.schema.field(column).type if column in batch.schema.names else step.COLUMNS[column]
        assert (column, array.type, len(array)) == (column, known, num_docs)
        assert step.COLUMNS.get(column, known) == known
    for column in ("text", "language"):
        assert column not in outcome.columns or outcome.columns[column].null_count == 0
    assert not {"id", "source"} & set(outcome.columns), "nobody renames a document"
    for signal, array in outcome.signals.items():
        assert (signal, array.type, len(array)) == (signal, pa.float64(), num_docs)
        assert all(v is None or math.isfinite(v) for v in array.to_pylist()), f"{signal}: what was not measured is null"


@each_step
def test_an_empty_column_gives_an_empty_answer(name: str, index: int) -> None:
    step: Any = ALL[name].steps[index]
    batch = schema_before(name, index).empty_table().to_batches(max_chunksize=1)
    empty = batch[0] if batch else pa.RecordBatch.from_pylist([], schema=schema_before(name, index))
    outcome = apply(step, empty)
    check_form(outcome, step, empty)
    # The columns and signals do not depend on what is in the batch.
    assert set(answers(outcome)) == set(answers(apply(step, corpus(name, index))))


@each_step
def test_a_document_does_not_depend_on_its_neighbours(name: str, index: int) -> None:
    step: Any = ALL[name].steps[index]
    batch = corpus(name, index)
    together = answers(apply(step, batch))
    alone = [answers(apply(step, pa.RecordBatch.from_pylist([row], schema=batch.schema))) for row in batch.to_pylist()]
    assert together == {key: [one[key][0] for one in alone] for key in together}
    turned_round = answers(apply(step, batch.take(pa.array(range(batch.num_rows - 1, -1, -1)))))
    assert together == {key: values[::-1] for key, values in turned_round.items()}


@each_step
def test_a_slice_gives_the_slice_of_the_answer(name: str, index: int) -> None:
    step: Any = ALL[name].steps[index]
    batch = corpus(name, index)
    whole = answers(apply(step, batch))
    for start, length in ((1, batch.num_rows - 2), (batch.num_rows // 2, 2), (batch.num_rows - 1, 1), (3, 0)):
        found = apply(step, batch.slice(start, length))
        check_form(found, step, batch.slice(start, length))
        assert answers(found) == {key: values[start : start + length] for key, values in whole.items()}


@each_step
def test_it_leaves_its_input_as_it_was_and_says_the_same_again(name: str, index: int) -> None:
    step: Any = ALL[name].steps[index]
    batch = corpus(name, index)
    before = batch_to_bytes(batch)
    first = apply(step, batch)
    check_form(first, step, batch)
    assert batch_to_bytes(batch) == before
    assert answers(apply(pickle.loads(pickle.dumps(step)), batch)) == answers(first), (
        "nor is anything kept between calls"
    )


@each_step
@settings(max_examples=12, deadline=None)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_is_judged_as_if_alone(name: str, index: int, texts: list[str]) -> None:
    step: Any = ALL[name].steps[index]
    base = (rows_of(name, step) or [{}])[0]
    batch = batch_of([{**base, "text": text} for text in texts], schema_before(name, index))
    together = apply(step, batch)
    check_form(together, step, batch)
    alone = [answers(apply(step, batch.slice(row, 1))) for row in range(len(texts))]
    assert answers(together) == {key: [one[key][0] for one in alone] for key in answers(together)}


CASE_LIST = [
    (name, number) for name in ALL if (CASES / f"{name}.json").is_file() for number in range(len(cases_of(name)))
]


@pytest.mark.parametrize(
    ("name", "number"),
    CASE_LIST,
    ids=[f"{n}-{cases_of(n)[i]['step']}-{cases_of(n)[i]['reason'] or 'kept'}-{i}" for n, i in CASE_LIST],
)
def test_each_case_gets_its_reason(name: str, number: int) -> None:
    case = cases_of(name)[number]
    source = configured(ALL[name], {case["step"]: case.get("settings", {})})
    (index,) = [i for i, step in enumerate(source.steps) if case["step"] == step.NAME]
    given_models = dict(models())
    if "cutoffs" in case:  # a bucket between two others must not hang on how the sample's model was trained
        scorer = given_models["perplexity"]["en"]
        given_models["perplexity"] = {"en": dataclasses.replace(scorer, cutoffs=Cutoffs(*case["cutoffs"]))}
    step: Any = source.steps[index]
    outcome = step.apply(batch_of([case["row"]], schema_before(name, index)), given_models)
    detail = None if outcome.detail is None else outcome.detail[0].as_py()
    assert (outcome.verdict[0].as_py(), detail) == (case["reason"], case.get("detail", detail))


@each_step
def test_every_reason_is_reached_by_a_case(name: str, index: int) -> None:
    step: Any = ALL[name].steps[index]
    reached = {case["reason"] for case in cases_of(name) if case["step"] == step.NAME}
    assert reached == {*step.REASONS, None}, "each reason needs a document, and one document must be kept"


@pytest.mark.parametrize("name", ALL)
def test_every_case_names_a_step_of_its_source(name: str) -> None:
    assert {case["step"] for case in cases_of(name)} <= {step.NAME for step in ALL[name].steps if is_local(step)}


@each_step
def test_a_step_names_the_columns_that_it_needs(name: str, index: int) -> None:
    step: Any = ALL[name].steps[index]
    before = schema_before(name, index)
    needed = {column: before.field(column).type for column in step.NEEDS}
    batch = batch_of(rows_of(name, step)[:1], before).select([*BASE_COLUMNS, *needed])
    apply(step, batch)


@each_step
def test_a_step_is_a_plain_value(name: str, index: int) -> None:
    step: Any = ALL[name].steps[index]
    assert isinstance(step, Step)
    assert isinstance(step.DATA_VERSION, int)
    assert step.DATA_VERSION >= 1
    assert re.fullmatch(r"[a-z][a-z0-9_]*", step.NAME)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", reason) for reason in step.REASONS)
    assert len(set(step.REASONS)) == len(step.REASONS)
    assert not {"id", "text", "source"} & set(step.COLUMNS)
    assert isinstance(hash(step), int)
    again = pickle.loads(pickle.dumps(step))
    assert again == step
    assert hash(again) == hash(step)
    assert dataclasses.is_dataclass(step)
    assert not hasattr(step, "__dict__"), "slots"
    for field in dataclasses.fields(step):
        assert field.kw_only
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(step, field.name, getattr(step, field.name))
    assert type(step)() == step or name == "c4", "the table holds defaults"
    assert json.loads(json.dumps(recorded(step)))["data_version"] == step.DATA_VERSION


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_a_plain_value(name: str) -> None:
    source = SOURCES[name]
    assert source.name == name
    assert "LLaMA" in source.cite or "2302.13971" in source.cite
    names = [step.NAME for step in source.steps]
    assert len(set(names)) == len(names), "a stage is counted by its name"
    assert not {"read", "records", "clean", "@graph"} & set(names), "names that the counts use themselves"
    assert all(isinstance(step.DATA_VERSION, int) for step in source.steps)
    assert isinstance(source.reader.DATA_VERSION, int)
    assert pickle.loads(pickle.dumps(source)) == source
    assert not set(source.reader.COLUMNS) & set(BASE_COLUMNS)
    assert "duplicate_id" in names, "a second document of the same id is dropped under this name"
