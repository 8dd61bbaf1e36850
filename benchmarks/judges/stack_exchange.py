"""Measures how much of the posts in the raw dumps the pipeline's documents contain. Imports nothing of the pipeline.

    python benchmarks/judges/stack_exchange.py DOCUMENTS Posts.xml...

DOCUMENTS are JSON lines (``id``, ``text``, ``answer_scores``) or Parquet from ``clean/stack_exchange``. The judge reads
Posts.xml with the standard library's ElementTree, and the HTML of the posts with its html.parser. Each site must be
given only once; else its answers would count twice.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

WORD = re.compile(r"\w+")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
BREAKING = {
    *("p", "div", "br", "hr", "li", "ul", "ol", "pre", "blockquote", "table", "tr", "td", "th", "h1", "h2", "h3", "h4"),
    *("h5", "h6", "dl", "dt", "dd"),
}


class _Text(HTMLParser):
    """Collects the text between the tags. Every tag of a block element, such as ``<p>``, becomes a line end, so that
    words before and after it stay separate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.pieces.append("\n" if tag in BREAKING else "")

    def handle_endtag(self, tag: str) -> None:
        self.pieces.append("\n" if tag in BREAKING else "")

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def text_of(body: str) -> str:
    parser = _Text()
    parser.feed(body)
    parser.close()
    return "".join(parser.pieces)


def raw_questions(paths: list[str]) -> dict[str, dict[str, Any]]:
    """Reads the questions in Posts.xml files. Returns a dict: the key is a question's id, and the value has the text of
    the question and its answers, and the scores of the answers. Empty answers are left out.
    """
    questions: dict[str, dict[str, Any]] = {}
    answers: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for path in paths:
        site = re.match(r".*\.(?:com|net)", Path(path).parent.name)
        assert site, path
        for row in ElementTree.parse(path).getroot():
            text = text_of(row.get("Body", ""))
            if row.get("PostTypeId") == "1":
                questions[f"{site[0]}/{row.get('Id')}"] = {"text": f"{row.get('Title', '')}\n{text}"}
            elif row.get("PostTypeId") == "2" and text.strip():
                answers[f"{site[0]}/{row.get('ParentId')}"].append((int(row.get("Score", "0")), text))
    for key, question in questions.items():
        question["scores"] = sorted((score for score, _ in answers[key]), reverse=True)
        question["text"] = "\n".join([question["text"], *(text for _, text in answers[key])])
    return questions


def judge(documents: list[dict[str, Any]], questions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    num_words = num_kept = num_tags = num_wrong_order = 0
    made = {document["id"]: document for document in documents}
    for key, question in questions.items():
        document = made.get(key, {"text": "", "answer_scores": []})
        words, kept = Counter(WORD.findall(question["text"])), Counter(WORD.findall(document["text"]))
        num_words += words.total()
        num_kept += (words & kept).total()
        written = Counter(TAG.findall(question["text"]))  # tags that the author wrote as text
        num_tags += (Counter(TAG.findall(document["text"])) - written).total()
        num_wrong_order += list(document["answer_scores"]) != question["scores"]
    return {
        "questions": len(questions),
        "questions_lost": len(questions.keys() - made.keys()),
        "documents_of_no_question": len(made.keys() - questions.keys()),
        "words": num_words,
        "share_of_words_kept": num_kept / num_words,
        "tags_left": num_tags,
        "answers_lost_or_out_of_order": num_wrong_order,
    }


def documents_of(path: str) -> list[dict[str, Any]]:
    if path.endswith(".parquet") or Path(path).is_dir():
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = pq.read_table(path, columns=["id", "text", "answer_scores"]).to_pylist()
        return rows
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    figures = judge(documents_of(sys.argv[1]), raw_questions(sys.argv[2:]))
    print(json.dumps(figures, indent=1))
    is_good = figures["tags_left"] == figures["answers_lost_or_out_of_order"] == figures["questions_lost"] == 0
    sys.exit(0 if is_good and figures["share_of_words_kept"] >= 0.999 else 1)
