"""Tests numbers and braces in wikitext, with properties that hold for any input."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.wikitext.article import LLAMA_WIKIS
from filters.wikitext.number_syntax import group_digits, is_number, local_number
from filters.wikitext.page import wikitext_to_text
from filters.wikitext.template_call import TemplateCall
from filters.wikitext.template_rules import RULES
from filters.wikitext.template_spans import find_spans
from filters.wikitext.wiki_names import syntax

LANGUAGES = st.sampled_from(LLAMA_WIKIS)
WHOLE = st.integers(0, 10**12).map(str)
FRACTION = st.from_regex(r"[0-9]{1,6}", fullmatch=True)


def value_of(text: str, language: str) -> Decimal:
    """Returns the value of a number that is written in the style of a language."""
    decimal = "." if language == "en" else ","
    return Decimal(re.sub(r"[^0-9" + decimal + "]", "", text).replace(decimal, "."))


@given(WHOLE, FRACTION, LANGUAGES)
@settings(max_examples=500)
def test_a_number_of_a_program_keeps_its_value(whole: str, fraction: str, language: str) -> None:
    assert value_of(group_digits(f"{whole}.{fraction}", language), language) == Decimal(f"{whole}.{fraction}")
    assert value_of(group_digits(whole, language), language) == Decimal(whole)


@given(WHOLE, FRACTION, LANGUAGES)
@settings(max_examples=500)
def test_a_number_in_the_wikis_own_signs_keeps_its_value(whole: str, fraction: str, language: str) -> None:
    typed = f"{whole}{'.' if language == 'en' else ','}{fraction}"
    assert value_of(local_number(typed, language), language) == Decimal(f"{whole}.{fraction}")
    shown = RULES["convert"](TemplateCall([typed, "kg", "lb"], {}, language))
    assert value_of(shown, language) == Decimal(f"{whole}.{fraction}")


@given(st.from_regex(r"[0-9]{1,7}([.,/+ ][0-9]{1,4}){0,3}", fullmatch=True), LANGUAGES)
@settings(max_examples=1000)
def test_no_form_of_a_number_loses_or_joins_digits(typed: str, language: str) -> None:
    for shown in (local_number(typed, language), group_digits(typed, language)):
        assert re.sub(r"[^0-9]", "", shown) == re.sub(r"[^0-9]", "", typed)
        last = re.split(r"[.,/+ ]", typed)[-1]
        if last != typed and len(last) != 3:
            assert re.split(r"[^0-9]", shown)[-1] == last


@pytest.mark.parametrize("typed", ["5", "5,5", "8+1/2", "8 1/2", "3//4", "1 234", "1.234.567", "1e6", "-5", "1'234"])
def test_forms_of_numbers_are_known(typed: str) -> None:
    assert is_number(typed)


@pytest.mark.parametrize("typed", ["", "km", "5 km", "1,2,3", "1 23", "1.23.456", "٣", "x5"])
def test_other_words_are_no_numbers(typed: str) -> None:
    assert not is_number(typed)
    assert local_number(typed, "de") == typed


@st.composite
def nested(draw: st.DrawFn, depth: int = 0) -> str:
    """Draws a well-formed template that may contain other templates. The last arguments may be empty."""
    arguments = draw(st.lists(st.sampled_from(["", "a", "b=c", "\n"]), max_size=3))
    if depth < 3:
        arguments += draw(st.lists(nested(depth + 1), max_size=2))
    arguments += draw(st.lists(st.just(""), max_size=2))
    return "{{" + "|".join(["t", *arguments]) + "}}"


@given(st.lists(nested(), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_well_formed_templates_end_where_they_end(templates: list[str]) -> None:
    text = " word ".join(templates)
    starts: list[int] = []
    ends: dict[int, int] = {}
    for brace in re.finditer(r"\{\{|\}\}", text):
        if brace[0] == "{{":
            starts.append(brace.start())
        else:
            ends[starts.pop()] = brace.end()
    assert {span.start: span.end for span in find_spans(text)} == ends
    sentence = f"One two three {text} four five six.\n\nThe next paragraph."
    shown = wikitext_to_text(sentence, names=syntax("en"))
    assert shown.startswith("One two three")
    assert shown.endswith("four five six.\n\nThe next paragraph.")
