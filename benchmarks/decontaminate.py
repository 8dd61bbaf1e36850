"""Measures decontamination (the search for evaluation items in documents): recall, false positives, and speed.

    python benchmarks/decontaminate.py CLEAN... [--evals FILE.jsonl.gz ...] [--decon PROGRAM] [--dolma PROGRAM]
                                       [--items N] [--speed_ngrams N] [--megabytes N] [--show N] [--seed N]

For the recall, each item is disturbed in several ways (for example re-wrapped, or one word in twenty changed). Its
question and answer are inserted between two paragraphs of a clean document. The item counts as recalled if a hit names
this item or an item with the same text. False positives are hits in clean documents. The speed is measured with a set
of 20 million n-grams.

CLEAN are files of real text without evaluation items, in four formats: ``.txt`` (split into documents of 5,000
characters); ``.jsonl`` or ``.jsonl.gz`` with ``text`` or ``content``; ``.warc.wet.gz``; ``.parquet`` with ``text``.
``--evals`` names files of real evaluation sets: JSON lines with ``question``, ``answer`` and ``passage``. Their items
are added to those that ``decontaminate_items`` makes. ``--decon`` is the path of AI2's program decon, a peer. decon
gets the same documents and sets as our code, and runs with default settings and one thread.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import random
import re
import tempfile
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.decontaminate_items import made_items
from benchmarks.decontaminate_peers import NGRAM_FLAGS, run_decon, run_dolma
from filters.decontaminate.build import build_index
from filters.decontaminate.index import FINDABLE, Index
from filters.decontaminate.items import PARTS, EvalSet, Item, SetRules
from filters.decontaminate.match import find
from filters.decontaminate.step import hits_of
from filters.decontaminate.words import split_words
from mixtures.decontaminate.table import open_table, write_table

Disturb = Callable[[str, random.Random], str]
DOC_CHARS = 5000
BATCH_DOCS = 256


def changed(text: str, one_in: int, rng: random.Random) -> str:
    """Replaces one of every ``one_in`` words of a text by a random word. At least one word is replaced."""
    words = re.split(r"(\s+)", text)
    places = [i for i, word in enumerate(words) if re.search(r"\w", word)]
    for first in range(0, max(1, len(places) - one_in + 1), one_in):
        words[places[first + rng.randrange(min(one_in, len(places) - first))]] = rng.choice(
            ["otherwise", "yonder", "lamp"]
        )
    return "".join(words)


def part_of(text: str, *, is_end: bool) -> str:
    words = text.split(" ")
    num_kept = -(-len(words) * 6 // 10)
    return " ".join(words[-num_kept:] if is_end else words[:num_kept])


def numbered(text: str, rng: random.Random) -> str:
    return text + "".join(
        f"\n({letter}) {word}" for letter, word in zip("ABCD", ("two", "three", "none", "all"), strict=True)
    )


DISTURBANCES: dict[str, Disturb] = {
    "verbatim": lambda text, rng: text,
    "re-wrapped": lambda text, rng: textwrap.fill(" ".join(text.split()), 40),
    "re-cased": lambda text, rng: text.upper(),
    "white space translated": lambda text, rng: text.replace(
        " ", rng.choice(["\u00a0", "\u3000", "\t", "  ", "\u2009"])
    ),
    "HTML entities": lambda text, rng: html.escape(text).replace("&#x27;", "&#39;").replace(" ", "&nbsp;"),
    "numbered choices": numbered,
    "inside quotes": lambda text, rng: "\n".join("> " + line for line in textwrap.wrap("\u201c" + text + "\u201d", 60)),
    "one word in twenty changed": lambda text, rng: changed(text, 20, rng),
    "one word changed (8 to 19 words)": lambda text, rng: changed(text, 20, rng),
    "first 60 % of the words": lambda text, rng: part_of(text, is_end=False),
    "last 60 % of the words": lambda text, rng: part_of(text, is_end=True),
}
WITHOUT_ANSWER = "verbatim, without its answer"


@dataclass(frozen=True, slots=True)
class Injected:
    """Holds a document with an inserted item, the item's kind, and the disturbance (change) of the item's question."""

    item: Item
    kind: str
    disturbance: str
    text: str


def read_clean(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields (kind, text) of each document. The kind is the ending of the file's name."""
    for path in paths:
        kind = Path(path).name.split(".", 1)[-1]
        if path.endswith(".parquet"):
            yield from ((kind, text) for text in pq.read_table(path, columns=["text"]).column("text").to_pylist())
            continue
        with gzip.open(path, "rt", errors="replace") if path.endswith(".gz") else open(path, errors="replace") as file:
            if path.endswith((".json", ".jsonl", ".json.gz", ".jsonl.gz")):
                rows = (json.loads(line) for line in file if line.strip())
                yield from ((kind, row.get("text") or row.get("content") or "") for row in rows)
            elif ".wet" in path:
                for record in file.read().split("WARC/1.0")[1:]:
                    yield kind, record.partition("\n\n")[2].strip()
            else:
                text = file.read()
                yield from ((kind, text[at : at + DOC_CHARS]) for at in range(0, len(text), DOC_CHARS))


def real_items(paths: Sequence[str]) -> list[tuple[str, Item]]:
    """Reads the items of real evaluation sets, each with its kind (the name of its set). If several lines of a set have
    the same question, the line with the right answer is kept.
    """
    items = dict[tuple[str, str], tuple[str, Item]]()
    for path in paths:
        with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as file:
            for number, line in enumerate(file):
                row = json.loads(line)
                kind, question = row.get("eval_key") or Path(path).name, row["question"]
                if (kind, question) in items and not row.get("is_correct"):
                    continue
                item = Item(
                    id=f"{Path(path).name}-{number}",
                    question=question,
                    answer=row.get("answer") or "",
                    passage=row.get("passage") or "",
                )
                items[kind, question] = (kind, item)
    return list(items.values())


def inject(items: Sequence[tuple[str, Item]], hosts: Sequence[str], rng: random.Random) -> list[Injected]:
    """Inserts each item into clean documents (``hosts``), once with each disturbance (a change of its question).
    Returns the documents.
    """
    made = []
    for kind, item in items:
        is_long = len(re.findall(r"\w+", item.question)) >= 20
        for name, disturb in {**DISTURBANCES, WITHOUT_ANSWER: DISTURBANCES["verbatim"]}.items():
            if (name == "one word in twenty changed") != is_long and "changed" in name:
                continue  # "one word in twenty" is for items of 20 or more words, the other row for shorter items
            host = rng.choice(hosts)
            at = host.find("\n", len(host) // 2)
            at = len(host) if at < 0 else at
            answer = "" if name == WITHOUT_ANSWER else "\n" + item.answer
            text = f"{host[:at]}\n\n{disturb(item.question, rng)}{answer}\n\n{host[at:]}"
            made.append(Injected(item, kind, name, text))
    return made


def recalled(index: Index, items: Sequence[tuple[str, Item]], injected: Sequence[Injected]) -> list[bool]:
    """Searches the injected documents. Returns one boolean per document: True if its inserted item was found."""
    found = []
    for first in range(0, len(injected), BATCH_DOCS):
        batch = injected[first : first + BATCH_DOCS]
        of_batch = [set[str]() for _ in batch]
        for hit in find(index, [one.text for one in batch]):
            if PARTS[index.piece_parts[hit.piece]] == "question":
                span = slice(int(index.item_starts[hit.piece]), int(index.item_starts[hit.piece + 1]))
                of_batch[hit.document].update(items[item][1].id for item in index.piece_items[span].tolist())
        found += [one.item.id in ids for one, ids in zip(batch, of_batch, strict=True)]
    return found


def recall_table(
    items: Sequence[tuple[str, Item]], injected: Sequence[Injected], found: Sequence[bool], words: dict[str, int]
) -> list[str]:
    """Returns a Markdown table of the recall in percent, with one row per disturbance (a change of an item's question).

    The columns are: all items of 8 or more words; the same items by kind; all shorter items. ``words`` maps the id of
    an item to the number of words of its question.
    """
    kinds = sorted({kind for kind, _ in items})
    counts: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    for one, is_found in zip(injected, found, strict=True):
        size = "long" if words[one.item.id] >= 8 else "short"
        counts[one.disturbance, size][is_found] += 1
        if size == "long":
            counts[one.disturbance, one.kind][is_found] += 1

    def share(key: tuple[str, str]) -> str:
        return f"{100 * counts[key][True] / counts[key].total():.1f}" if counts[key] else "-"

    lines = ["| recall in % | items of 8 words or more | of them: " + " | ".join(kinds) + " | shorter items |"]
    lines.append("|---|" + "--:|" * (len(kinds) + 2))
    for name in [*DISTURBANCES, WITHOUT_ANSWER]:
        cells = [share((name, column)) for column in ("long", *kinds, "short")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def speed_index(texts: Sequence[str], num_ngrams: int, path: Path, seed: int) -> list[tuple[str, Item]]:
    """Makes an evaluation set of about ``num_ngrams`` n-grams, and writes its index to ``path``. Returns the set's
    items. Their questions consist of random words of the texts.
    """
    known = sorted({word for text in texts[:3000] for word in text.split() if word.isalpha()})
    drawn = np.random.default_rng(seed).zipf(1.2, (num_ngrams // 100, 105)) % len(known)
    items = [
        ("random", Item(id=str(n), question=" ".join(known[word] for word in row)))
        for n, row in enumerate(drawn.tolist())
    ]
    index = build_index([EvalSet(SetRules(name="random"), (item for _, item in items))])
    with path.open("wb") as sink:
        write_table(index, {}, sink)
    return items


def measure(index: Index, texts: Sequence[str], rounds: int = 3) -> float:
    """Searches texts for the items of an index. Returns the speed of the best round, in MB of text per CPU second."""
    num_bytes, best = sum(len(text.encode()) for text in texts), float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for first in range(0, len(texts), BATCH_DOCS):
            hits_of(index, texts[first : first + BATCH_DOCS])
        best = min(best, time.process_time() - start)
    return num_bytes / 1e6 / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", nargs="+")
    parser.add_argument("--evals", nargs="*", default=[])
    parser.add_argument("--decon")
    parser.add_argument("--dolma")
    parser.add_argument("--items", type=int, default=2500)
    parser.add_argument("--speed_ngrams", type=int, default=20_000_000)
    parser.add_argument("--megabytes", type=int, default=30)
    parser.add_argument("--show", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    rng = random.Random(flags.seed)
    documents = [(kind, text) for kind, text in read_clean(flags.clean) if len(text) >= 200]
    clean = [text for _, text in documents]
    print(f"clean: {len(clean):,} documents, {sum(len(t.encode()) for t in clean) / 1e6:.1f} MB")

    items = [*made_items(), *real_items(flags.evals)]
    items = rng.sample(items, min(len(items), flags.items))
    index = build_index([EvalSet(SetRules(name="bench"), [item for _, item in items])])
    states = Counter(index.piece_states[np.flatnonzero(index.piece_parts == PARTS.index("question"))].tolist())
    counts = ", ".join(f"{number:,} {kind}" for kind, number in sorted(Counter(kind for kind, _ in items).items()))
    print(f"items: {len(items):,} ({counts}); {states[FINDABLE]:,} found alone, {dict(states)}")
    words = {item.id: int(np.diff(split_words([item.question]).offsets)[0]) for _, item in items}
    hosts = rng.sample([text[:3000] for text in clean], min(2000, len(clean)))
    injected = inject(items, hosts, rng)
    print("\nthis project:", *recall_table(items, injected, found := recalled(index, items, injected), words), sep="\n")
    missed = [
        one
        for one, ok in zip(injected, found, strict=True)
        if not ok and one.disturbance in ("verbatim", "re-wrapped") and words[one.item.id] >= 8
    ]
    for one in missed[: flags.show]:
        print(f"  missed, {one.disturbance}: {one.kind} {one.item.question[:300]!r} -> {one.item.answer[:80]!r}")
    if flags.decon:
        of_document, _ = run_decon(flags.decon, items, [one.text for one in injected])
        numbers = {item.id: str(number) for number, (_, item) in enumerate(items)}
        theirs = [numbers[one.item.id] in ids for one, ids in zip(injected, of_document, strict=True)]
        print("\ndecon:", *recall_table(items, injected, theirs, words), sep="\n")
    for way, way_flags in _ways_of_dolma(flags):
        theirs, _ = run_dolma(flags.dolma, items, [one.text for one in injected], *way_flags)
        print(f"\ndolma, {way}:", *recall_table(items, injected, theirs, words), sep="\n")

    print("\nflags on clean text (each is to be looked at):")
    flagged: Counter[tuple[str, str]] = Counter()
    strongest = []
    for first in range(0, len(clean), BATCH_DOCS):
        for row, hits in enumerate(hits_of(index, clean[first : first + BATCH_DOCS])):
            for hit in hits:
                flagged[documents[first + row][0], hit.kind] += 1
                span = clean[first + row][hit.found.start_char : hit.found.end_char]
                item = items[int(index.piece_items[index.item_starts[hit.found.piece]])][1]
                strongest.append((hit.found.score * len(span), hit.kind, hit.found.score, item, span))
    print(f"  {sum(flagged.values())} hits in {len(clean):,} documents: {dict(flagged)}")
    for _, kind, score, item, span in sorted(strongest, key=lambda one: -one[0])[: flags.show]:
        print(f"  {kind} {score:.2f} item {item.question[:200]!r} document {span[:200]!r}")
    if flags.decon:
        of_document, _ = run_decon(flags.decon, items, clean)
        print(f"  decon: {sum(bool(ids) for ids in of_document)} documents flagged")
    for way, way_flags in _ways_of_dolma(flags):
        theirs, seconds = run_dolma(flags.dolma, items, clean, *way_flags)
        speed = sum(len(text.encode()) for text in clean) / 1e6 / seconds
        print(f"  dolma, {way}: {sum(theirs)} documents flagged; {speed:.1f} MB/s of CPU time, reading JSON lines too")

    if flags.speed_ngrams:
        compare_speed(flags, clean)


def _ways_of_dolma(flags: argparse.Namespace) -> list[tuple[str, tuple[str, ...]]]:
    return [("whole paragraphs", ()), ("by 8-grams", NGRAM_FLAGS)] if flags.dolma else []


def compare_speed(flags: argparse.Namespace, clean: Sequence[str]) -> None:
    """Searches clean texts for a large evaluation set, with this project and with decon. Prints the speed of both."""
    texts, num_chars = [], 0
    for text in clean:
        texts.append(text)
        num_chars += len(text)
        if num_chars > flags.megabytes * 1e6:
            break
    num_bytes = sum(len(text.encode()) for text in texts)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        items = speed_index(clean, flags.speed_ngrams, Path(folder) / "t.evals", flags.seed)
        index = open_table(Path(folder) / "t.evals")
        print(f"\nspeed: {len(index.seeds.places):,} n-grams, built in {time.perf_counter() - start:.0f} s, "
              f"{index.matching_bytes / 1e6:.0f} MB; {num_bytes / 1e6:.1f} MB of text")  # fmt: skip
        print(f"  this project: {measure(index, texts):.1f} MB/s of CPU time, one process")
        print(f"  only splitting into words: {measure_words(texts):.1f} MB/s")
    if flags.decon:
        _, seconds = run_decon(flags.decon, items, texts)
        print(f"  decon, one thread, reading JSON lines too: {num_bytes / 1e6 / seconds:.1f} MB/s of its own clock")


def measure_words(texts: Sequence[str]) -> float:
    """Returns the speed of splitting texts into words, in MB of text per CPU second. Every exact search must split
    texts into words, so no exact search can be faster than this.
    """
    start = time.process_time()
    for first in range(0, len(texts), BATCH_DOCS):
        split_words(texts[first : first + BATCH_DOCS])
    return sum(len(text.encode()) for text in texts) / 1e6 / (time.process_time() - start)


if __name__ == "__main__":
    main()
