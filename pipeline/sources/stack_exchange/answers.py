"""Defines how a document is made from a question and its answers, and from which sites questions are taken. This module
does not use Beam.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.sources.source import Document, Join, Rejected
from pipeline.sources.stack_exchange.sites import largest_sites

Post = Mapping[str, Any]

LAYOUTS = ("redpajama", "pile", "plain")


SITES_STAGE = "sites"
"""The stage that keeps the questions of the largest sites."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerJoin(Join):
    """Makes documents from posts. The LLaMA paper takes the 28 largest sites, and sorts answers by score, the highest
    first.

    The paper does not say what to do with questions without answers, closed questions, community wikis, and answers
    with low scores. This join keeps all of them.
    """

    STAGES: ClassVar[tuple[str, ...]] = (SITES_STAGE,)
    KEY_COLUMNS: ClassVar[tuple[str, ...]] = ("site",)
    FIRST_PASS: ClassVar[str] = "assemble"
    EXPLAINED: ClassVar[tuple[str, ...]] = (
        "transforms: read, posts_per_site, questions",
        "reads the records; records of one document travel to the same worker, with their texts",
        "transform: assemble",
        "joins the records of each document",
    )
    RULE: ClassVar[str] = (
        "The 28 sites with most posts; each question with its answers, highest score first. Of equal scores the "
        "accepted answer comes first, then the older one."
    )
    CITE: ClassVar[str] = "the paper; layout: RedPajama v1"

    num_sites: int = 28
    """The number of sites to take, the largest first. LLaMA takes the 28 largest (arXiv 2302.13971, section 2.1). The
    size of a site is its number of posts, as in RedPajama.
    """
    sites: tuple[str, ...] = ()
    """The sites to take, of any size. If the list is empty, the largest sites are taken."""
    with_meta_sites: bool = True
    """True if a meta site (a site about a site) can be among the largest sites. RedPajama takes every large site."""
    layout: str = "redpajama"
    """The layout of a document. ``redpajama``: ``Q: TITLE BODY``, then one line ``A: ANSWER`` per answer. ``pile``
    (EleutherAI's layout): ``Q:``, title and body, then ``A:`` and the text of each answer, all separated by empty
    lines. ``plain``: title, body and answers, without ``Q:`` and ``A:``.
    """
    keep_unanswered: bool = True
    keep_closed: bool = True
    min_answer_score: int | None = None
    """The lowest score of an answer. Answers with a lower score are left out, except the accepted answer. The Pile has
    a minimum of 3. RedPajama and the paper have no minimum.
    """
    max_text_chars: int = 10_000_000
    """The largest number of characters of a document. If an answer would make the text longer, this answer and all
    answers after it are left out. Our choice: the size of a document must be limited. The longest document of Stack
    Overflow has less than a tenth of this limit.
    """

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {self.layout!r}")
        if self.num_sites < 1 or self.max_text_chars < 1:
            raise ValueError("num_sites and max_text_chars must be at least 1")

    def group_key(self, row: Post) -> tuple[str, int]:
        """Returns the key that all posts of one document share."""
        return row["site"], row["question_id"]

    def sort_key(self, row: Post) -> tuple[bool, int]:
        """Returns a key that sorts the posts of a document, with the question first."""
        return not row["is_question"], row["post_id"]

    def choose_sites(self, num_posts: Mapping[str, int]) -> frozenset[str]:
        """Returns the sites that the settings name. If they name none, returns the largest sites.

        ``num_posts`` maps each site to its number of questions and answers.
        """
        if self.sites:
            return frozenset(self.sites)
        return largest_sites(num_posts, num_sites=self.num_sites, with_meta=self.with_meta_sites)

    def assemble(self, posts: Iterable[Post]) -> list[Document | Rejected]:
        """Makes a document from a question and its answers. Returns the document, and a rejection for each post that is
        left out.

        Args:
            posts: all posts with the same ``group_key``, in any order. If a site is read from two dumps, a post can
                occur twice. Then the copy with the later activity is taken.
        """
        made: list[Document | Rejected] = []
        by_id: dict[int, Post] = {}
        for post in posts:
            other = by_id.get(post["post_id"])
            if other is not None:
                made.append(_rejected(post, "duplicate_post"))
                post = max(post, other, key=_recency)
            by_id[post["post_id"]] = post
        question = next((post for post in by_id.values() if post["is_question"]), None)
        answers = [post for post in by_id.values() if not post["is_question"]]
        if question is None:
            return made + [_rejected(post, "answer_without_question") for post in answers]
        reason = self._why_not(question, answers)
        if reason is not None:
            return made + [_rejected(post, reason) for post in by_id.values()]
        kept, left_out = self._chosen(question, answers)
        if not (question["text"] or question["title"] or kept):
            return [_rejected(question, "empty_question"), *made, *left_out]
        return [self._document(question, kept), *made, *left_out]

    def _why_not(self, question: Post, answers: list[Post]) -> str | None:
        if not self.keep_closed and question["closed_date"]:
            return "closed_question"
        if not self.keep_unanswered and not answers:
            return "unanswered_question"
        return None

    def _chosen(self, question: Post, answers: list[Post]) -> tuple[list[Post], list[Rejected]]:
        """Returns two lists: the answers to keep, in the order of the document; and the rejected answers."""
        accepted = question["accepted_answer_id"]
        answers = sorted(answers, key=lambda a: (-a["score"], a["post_id"] != accepted, a["post_id"]))
        kept, left_out = [], []
        num_chars, is_full = len(question["text"]), False
        for answer in answers:
            num_chars += len(answer["text"])
            is_full = is_full or num_chars > self.max_text_chars
            is_low = self.min_answer_score is not None and answer["score"] < self.min_answer_score
            if not answer["text"]:
                left_out.append(_rejected(answer, "empty_answer"))
            elif is_low and answer["post_id"] != accepted:
                left_out.append(_rejected(answer, "low_score_answer"))
            elif is_full:
                left_out.append(_rejected(answer, "question_too_long"))
            else:
                kept.append(answer)
        return kept, left_out

    def _document(self, question: Post, answers: list[Post]) -> Document:
        site, question_id = self.group_key(question)
        return {
            "id": f"{site}/{question_id}",
            "text": _text(question, answers, self.layout),
            "site": site,
            "question_id": question_id,
            "url": f"https://{site}/questions/{question_id}",
            "score": question["score"],
            "answer_scores": [answer["score"] for answer in answers],
            "tags": question["tags"],
            "creation_date": question["creation_date"],
            "num_answers": len(answers),
            "accepted": any(answer["post_id"] == question["accepted_answer_id"] for answer in answers),
        }


def _text(question: Post, answers: list[Post], layout: str) -> str:
    title, body = question["title"], question["text"]
    texts = [answer["text"] for answer in answers]
    if layout == "redpajama":
        asked = " ".join(part for part in (title, body) if part)
        return "\n".join([f"Q: {asked}", *(f"A: {text}" for text in texts)])
    parts = [part for part in (title, body) if part]
    if layout == "pile":
        return "\n\n".join(["Q:", *parts, *(part for text in texts for part in ("A:", text))])
    return "\n\n".join([*parts, *texts])


def _recency(post: Post) -> tuple[str, str]:
    """Returns a sort key for two copies of a post. The copy with the later activity has the greater key.

    If both have the same time of activity, their whole content decides. So the order of reading does not matter.
    """
    return post["last_activity_date"] or "", json.dumps(post, sort_keys=True)


def _rejected(post: Post, reason: str) -> Rejected:
    return Rejected(location=f"{post['site']}/{post['post_id']}", reason=reason, is_bad=False)
