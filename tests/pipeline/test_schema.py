"""Tests the JSON Schema of configuration files. It is up to date, and accepts the same files as the real reader."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mixtures.config_files import bundled_recipes, read_yaml
from mixtures.from_yaml import converted, setting_fields
from mixtures.strict_yaml import parse_yaml
from pipeline.schema.__main__ import main
from pipeline.schema.value_types import field_texts, schema_of, settings_schema
from pipeline.settings.settings import RunLimits, parse
from pipeline.sources import SOURCES
from tests.make_schema import FILE, text
from tests.pipeline.test_options import WRONG_FILES

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(FILE.read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def faults(value: Any) -> list[str]:
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in VALIDATOR.iter_errors(value)]


def test_the_file_is_that_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert text() == FILE.read_text(), "run `make golden`"
    Draft202012Validator.check_schema(SCHEMA)
    assert main([]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def blocks() -> list[Any]:
    # extending.md shows a source that its reader adds in code.
    pages = [p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")) if p.name != "extending.md"]
    fence = re.compile(r"^```yaml[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = [pytest.param(body, id=f"{page.name}-{n}") for page in pages
             for n, body in enumerate(fence.findall(page.read_text("utf-8")))]  # fmt: skip
    assert len(found) > 10
    return found


@pytest.mark.parametrize("body", blocks())
def test_what_the_documents_show_is_accepted(body: str) -> None:
    value = parse_yaml(body, "block")
    if not set(value) <= set(SCHEMA["properties"]):
        pytest.skip("no configuration file")
    assert faults(value) == []


@pytest.mark.parametrize("name", bundled_recipes())
def test_the_recipes_that_ship_are_accepted(name: str) -> None:
    assert faults(read_yaml(name)) == []


ONLY_THE_READER = ("weights add up", "'bookz' is not a source", "c4", "max_bad_share must be from",
                   "sample_docs must be", "is too small", "there is no file", "nosuchrecipe", "not YAML")  # fmt: skip
"""Parts of messages about faults that only the reader can find, and no schema: sums, ranges, missing files,
relations.
"""


WRONG_FORMS = [body for body, said in WRONG_FILES if not any(one in said for one in ONLY_THE_READER)]


@pytest.mark.parametrize("body", WRONG_FORMS, ids=[body or "empty" for body in WRONG_FORMS])
def test_what_the_reader_refuses_for_its_form_the_schema_refuses(body: str) -> None:
    assert faults(parse_yaml(body, "f")) != []


def test_most_wrong_files_are_found_by_the_schema() -> None:
    asked = [t for t, said in WRONG_FILES if not any(one in said for one in ONLY_THE_READER)]
    assert len(asked) > 25


@pytest.mark.parametrize(
    "body",
    [
        "sources: {books: {gutenbrg: off}}", "sources: {books: {c4_lines: {}}}", "run: {max_bad_share: [1]}",
        "sources: {books: {steps: [gopher_qality]}}", "corpora: {mine: {fils: a}}", "decontamination: {set: []}",
        "mixture: {weights: {books: much}}", "tokenizer: {vocab_sze: 5}", "sources: {book: {}}", "inputs: {book: a}",
        "mixture: {validation: {share: 0.1, tokens: 3}}", "shards: {target: 3}", "dedup: {max_overlap: 0.8}",
    ],
)  # fmt: skip
def test_typing_errors_are_found(body: str, tmp_path: Path) -> None:
    assert faults(parse_yaml(body, "f"))
    path = tmp_path / "run.yaml"
    path.write_text(body)
    with pytest.raises(ValueError, match=r"\w"):
        parse(["--config", str(path), "--input=books=b"])


@pytest.mark.parametrize(
    "body",
    [
        "sources: {books: {steps: [duplicate_id, gopher_quality: {max_words: 5}], gopher_quality: {max_words: 100K}}}",
        "mixture: {tokens: 100M, length: exact}", "corpora: {mine: {files: a, steps: [language]}}\nsources: {mine: {}}",
        "sources: {books: {near_dedup: off, gutenberg: null}}", "run: {max_bad_records: 1_000}",
        "inputs: {books: [a, b]}",
        "decontamination: {sets: [{name: a, path: b, question: q}], action: cut}", "tokenizer: t.json",
    ],
)  # fmt: skip
def test_what_the_reader_takes_is_accepted(body: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("")
    path = tmp_path / "run.yaml"
    path.write_text(body.replace("t.json", str(tmp_path / "t.json")))
    parse(["--config", str(path), "--input=books=b"])
    assert faults(parse_yaml(body, "f")) == []


KINDS = (bool, int, float, str, int | None, tuple[str, ...], frozenset[str], tuple[int, ...], Literal["a", "b"],
         float | None, str | None)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12),
    st.floats(-1e9, 1e9).filter(lambda number: not 0 < abs(number) < 1e-30),  # the reader refuses these
    st.sampled_from(["a", "b", "no", ""]),
    st.from_regex(r"-?[0-9][0-9_]{0,5}(\.[0-9]{1,3})?([eE][0-9])?[KMBT]?", fullmatch=True), st.text(max_size=5),
)  # fmt: skip


@given(st.sampled_from(KINDS), st.one_of(SCALARS, st.lists(SCALARS, max_size=3)))
@example(int, "100M")
@example(int, "1.5")
@example(float, "1e8")
@example(bool, 1)
@example(frozenset[str], [False])
def test_the_schema_accepts_every_value_that_the_reader_converts(kind: Any, value: Any) -> None:
    """The schema also refuses what the reader refuses. There is one exception: it accepts some texts such as "1.5" for
    a whole number.
    """
    is_valid = Draft202012Validator(schema_of(kind)).is_valid(value)
    try:
        converted(value, kind, "x")
    except ValueError:
        numbers = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        assert not is_valid or any(isinstance(one, str) and re.search(r"\d", one) for one in numbers)
    else:
        assert is_valid


def test_every_setting_has_its_type_and_its_description() -> None:
    found = settings_schema(RunLimits())["properties"]
    assert set(found) == {field.name for field in dataclasses.fields(RunLimits)}
    assert found["sample_docs"]["default"] == 100
    said = "Number of dropped documents whose text is stored, per stage and reason."
    assert found["sample_docs"]["description"] == said
    described = num = 0
    for source in SOURCES.values():
        for part in (source.reader, *source.steps):
            hints, texts = typing.get_type_hints(type(part)), field_texts(type(part))
            for field in setting_fields(part):
                assert schema_of(hints[field.name]) != {} or hints[field.name] in (Any, Decimal), (part, field.name)
                num, described = num + 1, described + (field.name in texts)
    assert num > 60
    assert described > 40
