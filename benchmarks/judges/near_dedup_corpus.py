"""Makes documents with known near duplicates, to test near dedups. Imports nothing of the project.

Real documents come from DATA: WET pages and C4 texts, source files, questions and answers, wiki pages, and passages of
books. Seven kinds of near duplicates are made from them and added ("planted"):

- exact copies, and truncated copies;
- copies with single words replaced, which keep 0.5 to 1.0 of the word 5-grams;
- copies with a menu before and after the text;
- longer pages that contain a document, and anthologies of several documents;
- pages that share a template and differ in data.

DATA has some near duplicates of its own, because it contains two editions of one book.

Run: ``python benchmarks/judges/near_dedup_corpus.py DATA OUT.json.gz [--documents N]``. Each line has the fields of C4:
``url`` (which here describes the document), ``timestamp`` and ``text``.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

MIN_WORDS, MAX_WORDS = 40, 1200
PLANTED_PART = 0.35
"""The share of the documents that are planted."""
_TAG = re.compile(r"<[^>]+>")


def wet_pages(data: Path) -> Iterator[str]:
    for path in sorted(data.glob("commoncrawl/**/*.wet.gz")):
        for record in gzip.decompress(path.read_bytes()).split(b"WARC/1.0\r\n"):
            head, _, body = record.partition(b"\r\n\r\n")
            if b"conversion" in head:
                yield body.decode("utf-8", "replace").strip()


def json_lines(data: Path, pattern: str, field: str) -> Iterator[str]:
    for path in sorted(data.glob(pattern)):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in content.split(b"\n"):
            if line.strip() and (text := json.loads(line).get(field)):
                yield text


def posts(data: Path) -> Iterator[str]:
    for path in sorted(data.glob("stackexchange/*/Posts.xml")):
        for body in re.findall(r'Body="([^"]*)"', path.read_text("utf-8", "replace")):
            yield html.unescape(_TAG.sub(" ", html.unescape(body)))


def wiki_pages(data: Path) -> Iterator[str]:
    for path in sorted(data.glob("wikipedia/**/*.xml")):
        for text in re.findall(r"<text[^>]*>(.*?)</text>", path.read_text("utf-8", "replace"), re.S):
            yield html.unescape(text)


def books(data: Path) -> Iterator[str]:
    for path in sorted(data.glob("books/**/*.txt")):
        words = path.read_bytes().decode("utf-8", "replace").split(" ")
        for start in range(0, len(words), 300):
            yield " ".join(words[start : start + 300])


def real_documents(data: Path, num_documents: int) -> list[tuple[str, str]]:
    """Returns real documents as (kind, text). The kinds are web, c4, code, post, wiki and book. They take turns: one
    document of each kind, then the next of each kind.
    """
    kinds = {
        "web": wet_pages(data),
        "c4": json_lines(data, "c4/**/*.json*", "text"),
        "code": json_lines(data, "github/dev/contents*.json.gz", "content"),
        "post": posts(data),
        "wiki": wiki_pages(data),
        "book": books(data),
    }
    found: list[tuple[str, str]] = []
    while kinds and len(found) < num_documents:
        for kind in list(kinds):
            text = next(kinds[kind], None)
            if text is None:
                del kinds[kind]
                continue
            words = text.split(" ")
            if len(words) >= MIN_WORDS:
                found.append((kind, " ".join(words[:MAX_WORDS])))
    if len(found) < num_documents:
        raise ValueError(f"DATA has {len(found)} documents, fewer than the {num_documents} that are wanted")
    return found[:num_documents]


def edited(draw: random.Random, text: str, share_left: float) -> str:
    """Replaces words until about ``share_left`` of the word 5-grams remain. Each replaced word removes five 5-grams."""
    words = text.split(" ")
    num_edits = round(len(words) * (1 - share_left) / 5)
    for place in draw.sample(range(len(words)), min(num_edits, len(words))):
        words[place] = "".join(draw.choice("bcdfghklmnprst") + draw.choice("aiou") for _ in range(3))
    return " ".join(words)


def planted(draw: random.Random, real: list[tuple[str, str]], number: int) -> tuple[str, str]:
    """Returns one planted document as (description, text)."""
    kind, text = draw.choice(real)
    words = text.split(" ")
    form = draw.choice(["copy", "edit", "edit", "edit", "cut", "menu", "inside", "template", "anthology"])
    if form == "copy":
        return f"copy-{kind}", text
    if form == "edit":
        share = draw.uniform(0.5, 1.0)
        return f"edit-{kind}-{share:.2f}", edited(draw, text, share)
    if form == "cut":
        return f"cut-{kind}", " ".join(words[: max(MIN_WORDS, int(len(words) * draw.uniform(0.3, 0.95)))])
    if form == "menu":
        menu = " ".join(draw.choice(words) for _ in range(draw.randint(20, 60)))
        return f"menu-{kind}", f"{menu}\n{text}\n{menu[::-1]}"
    if form == "inside":
        return f"inside-{kind}", "\n".join([draw.choice(real)[1], text, draw.choice(real)[1]])
    if form == "anthology":
        return "anthology", "\n\n".join(draw.choice(real)[1] for _ in range(draw.randint(3, 6)))
    frames = random.Random(number % 7)
    frame = " ".join(frames.choice(real)[1].split(" ")[:60])
    data = [draw.choice(real)[1].split(" ")[:20] for _ in range(3)]
    return f"template-{number % 7}", f"{' '.join(data[0])}\n{frame}\n{' '.join(data[1])}\n{' '.join(data[2])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=20_000)
    args = parser.parse_args()
    draw = random.Random(19)
    num_planted = int(args.documents * PLANTED_PART)
    real = real_documents(args.data, args.documents - num_planted)
    rows = real + [planted(draw, real, number) for number in range(num_planted)]
    draw.shuffle(rows)
    with gzip.GzipFile(args.out, "wb", mtime=0, compresslevel=3) as file:
        for number, (what, text) in enumerate(rows):
            url = f"https://{what}.example/{number}"
            file.write((json.dumps({"url": url, "timestamp": "2020-01-01T00:00:00Z", "text": text}) + "\n").encode())
    print(f"{len(rows)} documents, {sum(len(t.encode()) for _, t in rows) / 1e6:.1f} MB, {num_planted} of them planted")


if __name__ == "__main__":
    main()
