"""Tests how posts become documents: order, layouts, what is left out and why, and the largest sites."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.source import Rejected
from pipeline.sources.stack_exchange.reader import SOURCE, AnswerJoin, StackExchangeReader

READER = StackExchangeReader()
JOIN = AnswerJoin()


def rejects_of(items: list[Any]) -> list[tuple[str, bool]]:
    return [(item.reason, item.is_bad) for item in items if isinstance(item, Rejected)]


def post(post_id: int, question_id: int | None = None, **fields: Any) -> dict[str, Any]:
    is_question = question_id is None
    return {
        "site": "a.stackexchange.com",
        "post_id": post_id,
        "question_id": post_id if is_question else question_id,
        "is_question": is_question,
        "score": 0,
        "title": f"title {post_id}" if is_question else "",
        "text": f"text {post_id}",
        "tags": ["t"] if is_question else [],
        "creation_date": "2010-01-01T00:00:00.000",
        "last_activity_date": "2010-01-01T00:00:00.000",
        "accepted_answer_id": None,
        "closed_date": None,
        **fields,
    }


def document_of(made: list[Any]) -> dict[str, Any]:
    (document,) = [item for item in made if isinstance(item, dict)]
    return document


# ------------------------------------------------------------------------------------------------------- the join


def test_a_question_with_its_answers() -> None:
    question = post(1, score=3, title="Why?", text="I ask.", accepted_answer_id=2)
    made = JOIN.assemble([question, post(2, 1, score=9, text="B"), post(3, 1, score=10, text="A")])
    assert made == [
        {
            "id": "a.stackexchange.com/1",
            "text": "Q: Why? I ask.\nA: A\nA: B",
            "site": "a.stackexchange.com",
            "question_id": 1,
            "url": "https://a.stackexchange.com/questions/1",
            "score": 3,
            "answer_scores": [10, 9],
            "tags": ["t"],
            "creation_date": "2010-01-01T00:00:00.000",
            "num_answers": 2,
            "accepted": True,
        }
    ]
    assert set(document_of(made)) == {"id", "text", *READER.COLUMNS}


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("redpajama", "Q: Why? I ask.\nA: A\nA: B"),
        ("pile", "Q:\n\nWhy?\n\nI ask.\n\nA:\n\nA\n\nA:\n\nB"),
        ("plain", "Why?\n\nI ask.\n\nA\n\nB"),
    ],
)
def test_layouts(layout: str, text: str) -> None:
    posts = [post(1, title="Why?", text="I ask."), post(2, 1, text="A"), post(3, 1, text="B")]
    assert document_of(AnswerJoin(layout=layout).assemble(posts))["text"] == text


@given(st.lists(st.integers(-3, 120), max_size=12), st.integers(0, 15), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_answers_by_score_then_accepted_then_earliest_in_any_order(
    scores: list[int], accepted: int, rng: random.Random
) -> None:
    """Answers are sorted by score, best first. Scores are compared as numbers. (RedPajama and Data-Juicer compare them
    as text, so 9 comes before 100.)
    """
    answers = [post(i, 1, score=score, text=str(i)) for i, score in enumerate(scores, start=2)]
    posts = [post(1, accepted_answer_id=accepted), *answers]
    rng.shuffle(posts)
    document = document_of(JOIN.assemble(posts))
    order = [int(line[3:]) for line in document["text"].split("\n")[1:]]
    assert order == sorted(order, key=lambda i: (-scores[i - 2], i != accepted, i))
    assert document["answer_scores"] == sorted(scores, reverse=True)
    assert document["accepted"] == (accepted in order)


def test_what_is_left_out_is_said() -> None:
    orphans = JOIN.assemble([post(2, 1), post(3, 1)])
    assert rejects_of(orphans) == [("answer_without_question", False)] * 2
    assert orphans[0].location == "a.stackexchange.com/2"  # type: ignore[union-attr]
    made = JOIN.assemble([post(1), post(2, 1, text=""), post(3, 1)])
    assert document_of(made)["num_answers"] == 1
    assert rejects_of(made) == [("empty_answer", False)]
    closed = [post(1, closed_date="2012-01-01"), post(2, 1)]
    assert len(JOIN.assemble(closed)) == 1
    assert rejects_of(AnswerJoin(keep_closed=False).assemble(closed)) == [("closed_question", False)] * 2
    assert document_of(JOIN.assemble([post(1)]))["text"] == "Q: title 1 text 1"
    assert rejects_of(AnswerJoin(keep_unanswered=False).assemble([post(1)])) == [("unanswered_question", False)]
    assert rejects_of(JOIN.assemble([post(1, title="", text="")])) == [("empty_question", False)]
    empty = [post(1, title="", text=""), post(2, 1, text="")]
    assert rejects_of(JOIN.assemble(empty)) == [("empty_question", False), ("empty_answer", False)]
    low = [post(1, title="", text=""), post(2, 1, score=-5)]
    assert rejects_of(AnswerJoin(min_answer_score=3).assemble(low))[0] == ("empty_question", False)


def test_low_scores_on_request() -> None:
    posts = [post(1, accepted_answer_id=2), post(2, 1, score=-5), post(3, 1, score=2), post(4, 1, score=3)]
    made = AnswerJoin(min_answer_score=3).assemble(posts)
    assert document_of(made)["answer_scores"] == [3, -5]
    assert rejects_of(made) == [("low_score_answer", False)]


def test_a_site_that_was_read_from_two_dumps() -> None:
    old, new = post(2, 1, text="old"), post(2, 1, text="new", last_activity_date="2015-01-01T00:00:00.000")
    for posts in ([post(1), old, new], [new, post(1), old], [post(1), post(1), new, old, old]):
        made = JOIN.assemble(posts)
        assert document_of(made)["text"] == "Q: title 1 text 1\nA: new"
        assert rejects_of(made) == [("duplicate_post", False)] * (len(posts) - 2)


def test_ten_thousand_answers_stay_bounded() -> None:
    posts = [post(1, text=""), *(post(i, 1, score=i, text="x" * 3000) for i in range(2, 10_002))]
    made = JOIN.assemble(posts)
    document = document_of(made)
    assert document["num_answers"] == 3333
    assert document["answer_scores"][0] == 10_001
    assert len(document["text"]) < 10_020_000
    assert rejects_of(made) == [("question_too_long", False)] * (10_000 - 3333)


def test_the_largest_sites() -> None:
    num_posts = {f"s{i}.stackexchange.com": 1000 - i for i in range(40)} | {"meta.s0.stackexchange.com": 999}
    chosen = JOIN.choose_sites(num_posts)
    assert len(chosen) == 28
    assert {"s0.stackexchange.com", "meta.s0.stackexchange.com", "s26.stackexchange.com"} <= chosen
    assert "s27.stackexchange.com" not in chosen
    without = AnswerJoin(with_meta_sites=False).choose_sites(num_posts)
    assert without == {f"s{i}.stackexchange.com" for i in range(28)}
    assert AnswerJoin(sites=("b.com",)).choose_sites(num_posts) == {"b.com"}


@pytest.mark.parametrize("bad", [{"layout": "other"}, {"num_sites": 0}, {"max_text_chars": 0}])
def test_settings_that_make_no_sense(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AnswerJoin(**bad)


def test_the_source() -> None:
    assert SOURCE.name == "stack_exchange"
    assert SOURCE.join == AnswerJoin()
