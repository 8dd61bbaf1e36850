"""Tests with which changes a text still contains findable items of evaluation sets, and which items cannot be found."""

from __future__ import annotations

import tracemalloc

import pyarrow as pa
import pytest

from filters.decontaminate.build import build_index
from filters.decontaminate.index import STATES, Index
from filters.decontaminate.items import EvalSet, Item, SetRules
from filters.decontaminate.match import Found, find
from filters.decontaminate.step import Decontaminate
from filters.decontaminate.words import split_words

BOLTS = Item(
    id="bolts",
    question="A robe takes two bolts of blue fiber and half that much white fiber, says the tailor's ledger. How many "
    "bolts of cloth in total does the robe take?",
    answer="three bolts",
)
HAMLET = Item(id="hamlet", question="Who wrote Hamlet?", answer="William Shakespeare")
CLEAN = "The harbour was quiet that evening, and the fishermen mended their nets beside the old customs house. " * 3


def index_of(*items: Item, **rules: object) -> Index:
    return build_index([EvalSet(SetRules(name="mine", **rules), items)])  # type: ignore[arg-type]


def found_in(text: str, *items: Item) -> list[Found]:
    return find(index_of(*items), [CLEAN, text, CLEAN])


@pytest.mark.parametrize(
    "disturbed",
    [
        BOLTS.question,
        BOLTS.question.upper(),
        BOLTS.question.replace(" ", "\n"),
        BOLTS.question.replace(" ", "\u00a0\u2003"),
        BOLTS.question.replace("'", "&#39;").replace(" ", "&nbsp;"),
        "\u201c" + BOLTS.question.replace(",", "\u2014") + "\u201d",
        "> " + BOLTS.question.replace(". ", ".\n> "),
        BOLTS.question + "\n(A) two\n(B) three bolts",
        BOLTS.question.replace("ledger", "notebook"),
    ],
)
def test_what_makes_no_difference(disturbed: str) -> None:
    (hit,) = found_in(CLEAN + disturbed + CLEAN, BOLTS)
    assert hit.document == 1
    assert hit.is_whole


def test_every_place_in_a_document_is_looked_at() -> None:
    eight = Item(id="8", question="tailor ledger robe fiber harbour customs fishermen nets")
    for before in range(7):
        assert len(found_in("word " * before + eight.question, eight)) == 1, before


def test_the_span_is_the_place_in_the_text() -> None:
    (hit,) = found_in("é\u0301 中 " + BOLTS.question + " end", BOLTS)
    assert ("é\u0301 中 " + BOLTS.question)[hit.start_char : hit.end_char] == BOLTS.question.rstrip("?")


def test_the_span_includes_an_answer_only_if_it_is_near() -> None:
    """The span of a hit reaches from the question to the end of the answer if the answer is near, else to the end of
    the question. A cut removes the span.
    """
    for num_words, end in ((10, BOLTS.answer), (40, "take")):
        text = f"{BOLTS.question} {'word ' * num_words}{BOLTS.answer}"
        (hit,) = found_in(text, BOLTS)
        assert (hit.answer_score, text[: hit.end_char].endswith(end)) == (1, True)


def test_clean_text_and_another_question_are_not_found() -> None:
    assert not found_in(CLEAN, BOLTS)
    assert not found_in(CLEAN + "How many bolts in total does it take to hold a wheel of this kind?", BOLTS)


def test_a_short_question_needs_its_answer_near() -> None:
    assert len(found_in("Who wrote Hamlet? William Shakespeare did.", HAMLET)) == 1
    assert not found_in("Who wrote Hamlet? Nobody knows.", HAMLET)
    assert not found_in("Who wrote Hamlet? " + CLEAN * 3 + "William Shakespeare", HAMLET)


@pytest.mark.parametrize(
    ("item", "state"),
    [
        (Item(id="1", question="Why?", answer="gravity pulls"), "too_short"),
        (Item(id="2", question="What is the answer?", answer="42"), "too_common"),
        (Item(id="3", question="Who wrote Hamlet?"), "too_short"),
        (HAMLET, "needs_answer"),
        (BOLTS, "findable"),
        (Item(id="4", question="Сколько метров ткани нужно портному на пять тёплых зимних пальто?"), "findable"),
        (Item(id="5", question="中国的首都是哪个城市", answer="北京"), "needs_answer"),
    ],
)
def test_how_an_item_can_be_found(item: Item, state: str) -> None:
    assert [STATES[s] for s in index_of(item).piece_states] == [state]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many homomorphisms are there of Z into Z_2?", "2"),
        ("What is the sum of 4 + 9 and 4 - 9?", "8"),
        ("Find the quotient of 5 and 7 and then 3", "7"),
        ("If 3^(x - 3) + 10 = 19, then x =", "5"),
        ("Is the number 91 not a prime, true or false?", "False"),
    ],
)
def test_a_question_of_eight_words_is_found_with_a_common_answer_after_it(question: str, answer: str) -> None:
    item = Item(id="1", question=question, answer=answer)
    assert [STATES[s] for s in index_of(item).piece_states] == ["needs_answer"]
    near = f"{question}\n(A) 12 apples\n(B) 13 pears\n(C) none\n(D) all\n{answer}"
    assert len(found_in(near, item)) == 1
    assert not found_in(f"{question} {CLEAN}", item)
    assert not found_in(f"{answer} {question}", item)
    assert not found_in(" ".join(["otherwise", *question.split()[1:], answer]), item)


@pytest.mark.parametrize(
    "question", ["Which one of the following is the best answer?", "What is the right way to do it here?"]
)
def test_a_question_of_common_words_alone_is_not_searched_for_with_a_common_answer(question: str) -> None:
    assert [STATES[s] for s in index_of(Item(id="1", question=question, answer="A")).piece_states] == ["too_common"]


def test_each_question_of_a_template_is_found_at_every_place() -> None:
    """The questions differ in one word. Only one n-gram of a question occurs in no other question, and only every third
    n-gram of a document is looked up.
    """
    names = ["hepatomegaly", "hypothyroidism", "monosomy", "scurvy", *(f"term{n}" for n in range(60))]
    items = [Item(id=n, question=f"Which of the following is true of {n}?", answer=f"fact about {n}") for n in names]
    index = index_of(*items)
    for before in range(6):
        texts = [f"{'word ' * before}{item.question} {item.answer}" for item in items]
        assert [hit.piece for hit in find(index, texts)] == list(range(len(items))), before


def test_each_question_of_a_template_with_two_places_is_found_everywhere() -> None:
    """The questions differ in two words. A single question has no run of three words, and only one or two runs of six
    words, that no other question has.
    """
    items = [
        Item(
            id=f"{a} {b}",
            question=f"If name{a} has more apples than other{b} has, how many are left?",
            answer=f"n{a}x{b}",
        )
        for a in range(40)
        for b in range(40)
    ]
    index = index_of(*items)
    assert {STATES[s] for s in index.piece_states} == {"needs_answer"}
    for before in range(3):
        texts = [f"{'word ' * before}{item.question} {item.answer}" for item in items[::9]]
        assert [hit.piece for hit in find(index, texts)] == list(range(1600))[::9], before


def test_a_text_that_repeats_itself_costs_no_more_than_another() -> None:
    """Both the text and the item repeat the same words. Without a limit, each position in the text would be compared
    with each position in the item.
    """
    piece = "la " * 37 + BOLTS.question + " 0" * 40 + " la di" * 30
    index = index_of(Item(id="1", question=piece, answer="x", passage=piece))
    texts = ["la " * 40_000, "0 " * 40_000, "la di " * 20_000, CLEAN + "la " * 40 + BOLTS.question + " 0" * 300]
    tracemalloc.start()
    try:
        hits = find(index, texts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {hit.document for hit in hits} == {3}
    assert peak < 120 * sum(map(len, texts))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ham\u200blet", "Hamlet"), ("Ham\u200elet", "Hamlet"), ("\u2067Hamlet\u2069", "Hamlet"), ("ｱｲｳ", "アイウ"),
        ("שָׁלוֹם", "שלום"), ("ＨＡＭＬＥＴ", "hamlet"),
    ],
)  # fmt: skip
def test_spellings_that_are_the_same_words(one: str, other: str) -> None:
    assert split_words([one]).hashes.tolist() == split_words([other]).hashes.tolist()


def test_a_final_sigma_is_a_sigma() -> None:
    item = Item(id="g", question="Πόσους τόνους καλαμπόκι μετέφεραν οι φορτηγίδες στους δύο μεγαλύτερους λιμένες;")
    assert len(found_in(item.question.upper(), item)) == 1


@pytest.mark.parametrize("number", [0, 1])
def test_other_scripts_are_found(number: int) -> None:
    item = [
        Item(id="4", question="Сколько метров ткани нужно портному на пять тёплых зимних пальто?"),
        Item(id="5", question="中国的首都是哪个城市", answer="北京"),
    ][number]
    assert len(found_in(f"{CLEAN}{item.question.upper()} {item.answer}", item)) == 1


def test_a_set_without_items_finds_nothing() -> None:
    index = index_of()
    assert (index.num_items, index.num_pieces, find(index, [CLEAN, ""])) == (0, 0, [])


def test_a_document_is_judged_without_regard_to_the_others() -> None:
    index = index_of(BOLTS, HAMLET)
    texts = [CLEAN, BOLTS.question, "", "Who wrote Hamlet? William Shakespeare", CLEAN + BOLTS.question]
    alone = [[(h.piece, h.start_char, h.score) for h in find(index, [text])] for text in texts]
    together = find(index, texts)
    assert alone == [[(h.piece, h.start_char, h.score) for h in together if h.document == i] for i in range(5)]
    assert [len(hits) for hits in alone] == [0, 1, 0, 1, 1]


def _apply(index: Index, text: str) -> tuple[str | None, str, list[dict[str, object]]]:
    batch = pa.record_batch({"id": ["a"], "source": ["books"], "text": [text]})
    outcome = Decontaminate().apply(batch, {"decontamination": index})
    rows = outcome.evidence.to_pylist() if outcome.evidence is not None else []
    after = outcome.columns["text"][0].as_py() if "text" in outcome.columns else text
    return outcome.verdict[0].as_py(), after, rows


def test_the_three_actions() -> None:
    text = f"First paragraph.\n\n{BOLTS.question}\n\nLast paragraph."
    verdict, after, rows = _apply(index_of(BOLTS), text)
    assert (verdict, after, rows[0]["set"], rows[0]["item"]) == ("contamination", text, "mine", "bolts")
    assert _apply(index_of(BOLTS, action="cut"), text)[:2] == (None, "First paragraph.\n\nLast paragraph.")
    assert _apply(index_of(BOLTS, action="cut"), BOLTS.question)[0] == "nothing_left"
    verdict, after, rows = _apply(index_of(BOLTS, action="mark"), text)
    assert (verdict, after, rows[0]["action"]) == (None, text, "mark")


def test_a_passage_from_a_public_source_is_reported_and_kept() -> None:
    item = Item(id="p", passage=CLEAN)
    verdict, _, rows = _apply(index_of(item), "Chapter 1. " + CLEAN)
    assert (verdict, rows[0]["class"], rows[0]["action"]) == (None, "public_passage", "mark")
    assert _apply(index_of(item, public_action="drop"), CLEAN)[0] == "public_passage"
