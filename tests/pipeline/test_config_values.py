"""Tests that a configuration which would silently lose input is refused. One line names the file, the line and the
key.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filters.language.codes import LANGUAGES
from mixtures.config_files import read_yaml
from mixtures.recipe import load_recipe
from mixtures.strict_yaml import parse_yaml
from pipeline.run import main
from pipeline.settings.named_values import check_names
from pipeline.settings.settings import parse
from pipeline.settings.source_settings import configured
from pipeline.sources import SOURCES

LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"

REFUSED = [
    ("inputs:\n  books: a\n  c4: b\n  books: c\n", "line 4", "inputs.books"),
    ("seed: 1\nseed: 2\n", "line 2", "seed"),
    ("sources: {books: {near_dedup: {max_overlap: 0.1, max_overlap: 0.2}}}", "line 1", "near_dedup.max_overlap"),
    ("1: a\n'1': b\n", "line 2", "1"),
    ("inputs: [{books: a, books: b}]", "line 1", "inputs[0].books"),
    ("mixture:\n  tokens: 1e999999999\n", "line 2", "mixture.tokens"),
    ("mixture: {weights: {books: 1e-999999999}}", "line 1", "mixture.weights.books"),
    ("mixture: {weights: {books: '1e9999999'}}", "line 1", "mixture.weights.books"),
    (f"mixture: {{tokens: {'9' * 5000}}}", "line 1", "mixture.tokens"),
    ("mixture: {weights: {books: 1.0e+999990}}", "line 1", "mixture.weights.books"),
    ("run: {max_bad_share: .nan}", "line 1", "run.max_bad_share"),
    ("run: {max_bad_share: -.inf}", "line 1", "run.max_bad_share"),
    ("seed: 010", "line 1", "octal"),
    ("mixture: {tokens: 1:30}", "line 1", "base 60"),
    (LAUGHS, "line 2", "*a"),
    ("a: &x {b: 1}\nc: {<<: *x}\n", "line 2", "*x"),
    ("seed: " + "[" * 20000, "line 1", "levels"),
    ("seed:\n" + "".join(" " * i + f"a{i}:\n" for i in range(1, 60)), "line 33", "levels"),
    ("{" * 20000, "line 1", "levels"),
    ("? [a, b]\n: c\n", "line 1", "not a word"),
    ("a: 'x", "not YAML", "quoted"),
    ("a: b\n---\nc: d\n", "not YAML", "document"),
    ("a: !!python/object/apply:os.system [ls]", "not YAML", "python/object"),
    ("a: \x07", "not YAML", "#x0007"),
]


@pytest.mark.parametrize(("text", "line", "word"), REFUSED)
def test_a_file_that_is_refused(text: str, line: str, word: str, tmp_path: Path,
                                capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    path = tmp_path / "run.yaml"
    path.write_text(text)
    assert main(["--config", str(path), "--output", str(tmp_path / "out")]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert str(path) in said
    assert line in said
    assert word in said
    assert len(said) < 1000
    assert not (tmp_path / "out").exists()
    for read in (read_yaml, load_recipe):
        with pytest.raises(ValueError, match=line):
            read(path)


def test_what_is_no_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        assert main(["--config", str(path), "--output", str(tmp_path / "out")]) == 2
        assert "not a file" in capsys.readouterr().err
    large = tmp_path / "large.yaml"
    large.write_bytes(b"# " + b"x" * (2 << 20))
    assert main(["--config", str(large)]) == 2
    assert "not a file of at most" in capsys.readouterr().err


SCALARS = st.one_of(st.integers(-(10**15), 10**15), st.booleans(), st.none(), st.text(max_size=8),
                    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e20, max_value=1e20))  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=4))
@example({"0": "1E100"})
@example({"0": "1E30"})
def test_whatever_yaml_can_write_is_read_as_it_is(value: dict[str, object]) -> None:
    """The checks accept all values that a program may write as YAML, if their numbers are of a reasonable size."""
    import yaml

    text = yaml.safe_dump(value, allow_unicode=True)
    if "&" in text or any(not -30 <= number.adjusted() <= 30 for number in _numbers(value)):
        return
    assert parse_yaml(text, "x") == yaml.safe_load(text)


def _numbers(value: object) -> list[Decimal]:
    """Returns all numbers in a value. Texts such as 1E100 are included: YAML 1.1 reads them as text, but people mean
    numbers.
    """
    if isinstance(value, float | str):
        try:
            number = Decimal(str(value).strip().replace("_", ""))
        except InvalidOperation:
            return []
        return [number] if number.is_finite() and number else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [number for one in inner for number in _numbers(one)]


NAMES = [
    ("common_crawl", "language", {"languages": ["english"]}, "'english' is not known"),
    ("common_crawl", "language", {"languages": ["en", "dee"]}, "'dee' is not known; did you mean"),
    ("common_crawl", "language", {"languages": ["en", "ger"]}, "'ger' is not known; did you mean de?"),
    ("common_crawl", "language", {"min_scores": {"German": 0.6}, "languages": []}, "did you mean de?"),
    ("common_crawl", "language", {"languages": ["klingon"]}, "languages are named by code, such as en, de, fr and zh"),
    ("c4", "reader", {"published_language": "Chinese"}, "'Chinese' is not known; did you mean zh?"),
    ("wikipedia", "wiki_languages", {"wikis": ["dewiki"]}, "'dewiki' is not known; did you mean de?"),
    ("wikipedia", "wiki_languages", {"wikis": ["jp"]}, "'jp' is not known; did you mean ja?"),
    ("common_crawl", "language", {"languages": [False]}, "put it in quotes"),
    ("common_crawl", "duplicate_digest", {"key": "digset"}, "key must be one of"),
    ("common_crawl", "duplicate_digest", {"earliest": "dmup"}, "earliest must be one of"),
    ("common_crawl", "line_dedup", {"scope": "group_"}, "scope must be one of"),
    ("c4", "line_dedup", {"rank": "urll"}, "rank must be one of"),
    ("c4", "reader", {"published_language": "english"}, "'english' is not known"),
    ("c4", "c4_english", {"method": "fastext"}, "method must be one of"),
    ("github", "licence", {"families": ["apahce-*"]}, "did you mean apache-2.0?"),
    ("github", "licence", {"families": ["MIT"]}, "'MIT' is not known"),
    ("github", "licence", {"families": []}, "nothing would be kept"),
    ("github", "code_files", {"kept_languages": ["Pyhton"]}, "Pyhton"),
    ("github", "code_files", {"kept_languages": []}, "nothing would be kept"),
    ("wikipedia", "wiki_languages", {"wikis": ["english"]}, "'english' is not known"),
    ("wikipedia", "wiki_languages", {"wikis": ["enwiki"]}, "'enwiki' is not known"),
    ("wikipedia", "wiki_languages", {"wikis": []}, "nothing would be kept"),
    ("stack_exchange", "join", {"sites": ["maths"]}, "math.stackexchange.com"),
    ("stack_exchange", "join", {"layout": "pille"}, "layout must be one of"),
]


@pytest.mark.parametrize(("source", "step", "fields", "message"), NAMES)
def test_a_name_that_does_not_exist(source: str, step: str, fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_names(configured(SOURCES[source], {step: fields}))


KNOWN = [
    ("common_crawl", "language", {"languages": []}),
    ("common_crawl", "language", {"languages": ["de", "zh", "no"]}),
    ("c4", "reader", {"published_language": "bg-Latn"}),
    ("github", "licence", {"families": ["gpl-*", "isc"]}),
    ("github", "code_files", {"kept_languages": ["Python"]}),
    ("wikipedia", "wiki_languages", {"wikis": ["simple", "als"]}),
    ("stack_exchange", "join", {"sites": ["math.stackexchange.com", "stackoverflow.com"]}),
    ("stack_exchange", "join", {"sites": []}),
]


@pytest.mark.parametrize(("source", "step", "fields"), KNOWN)
def test_a_name_that_exists(source: str, step: str, fields: dict[str, object]) -> None:
    check_names(configured(SOURCES[source], {step: fields}))


def test_the_defaults_of_every_source_exist() -> None:
    for source in SOURCES.values():
        check_names(source)


def test_the_languages_are_the_models() -> None:
    import fasttext

    from pipeline.models.find import find_models

    path = find_models(None).get("language")
    assert path is not None, "one comes with the package"
    assert {label.removeprefix("__label__") for label in fasttext.load_model(str(path)).labels} == LANGUAGES


def test_the_command_checks_names(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("sources: {wikipedia: {wiki_languages: {wikis: [english]}}}")
    with pytest.raises(ValueError, match=r"sources\.wikipedia\.wiki_languages\.wikis: 'english' is not known"):
        parse(["--config", str(config), f"--input=wikipedia={tmp_path}"])
