"""Makes evaluation items (questions with answers) for ``decontaminate.py``. No public set contains these items."""

from __future__ import annotations

import ast
import inspect
import json
import pydoc_data.topics
import random
import textwrap
from collections.abc import Iterator
from importlib import import_module

from filters.decontaminate.items import Item

_NAMES = [
    "Ada",
    "Bruno",
    "Chidi",
    "Dagny",
    "Emeka",
    "Farida",
    "Goran",
    "Hanna",
    "Ilse",
    "Jomo",
    "Katya",
    "Lior",
    "Mirela",
    "Nuno",
    "Oksana",
    "Pavel",
    "Rania",
    "Sven",
]
_THINGS = [
    "lanterns",
    "bolts",
    "crates",
    "walnuts",
    "marbles",
    "tickets",
    "ribbons",
    "kettles",
    "saplings",
    "bricks",
    "candles",
    "postcards",
]
_PLACES = (
    "the harbour market",
    "a village fair",
    "the old mill",
    "the railway depot",
    "her aunt's orchard",
    "a school",
)
_MODULES = [
    "argparse",
    "csv",
    "datetime",
    "difflib",
    "fractions",
    "heapq",
    "json",
    "shutil",
    "statistics",
    "string",
    "textwrap",
    "zipfile",
    "calendar",
]
_LANGUAGES = {
    "German": "{name} kauft auf dem Markt {a} {thing} und verschenkt danach {b} davon an die Nachbarn von nebenan.",
    "French": "{name} achète {a} {thing} au marché et en donne ensuite {b} aux voisins de la maison d'à côté.",
    "Russian": "{name} покупает на рынке {a} {thing} и потом дарит {b} из них соседям из дома напротив.",
    "Greek": "Ο {name} αγοράζει {a} {thing} στην αγορά και μετά χαρίζει {b} στους γείτονες της διπλανής πόρτας.",
}


def made_items(seed: int = 1) -> list[tuple[str, Item]]:
    """Returns items with their kinds: word problems, multiple choice, reading comprehension, code, translations."""
    rng = random.Random(seed)
    makers = (word_problems, multiple_choice, reading, code, translations)
    return [(maker.__name__, item) for maker in makers for item in maker(rng)]


def word_problems(rng: random.Random) -> Iterator[Item]:
    verbs, mornings = ("carved", "found", "bought", "saved", "carried"), ("rainy", "windy", "cold", "bright")
    for number in range(600):
        first, second = rng.sample(_NAMES, 2)
        thing, other = rng.sample(_THINGS, 2)
        a, b, c = rng.randint(12, 90), rng.randint(2, 11), rng.randint(2, 9)
        question = (
            f"{first} brings {a} {thing} to {rng.choice(_PLACES)} and trades {b} of them for {c} {other} each that "
            f"{second} {rng.choice(verbs)} on a {rng.choice(mornings)} "
            f"morning. How many {rng.choice([thing, other])} does {rng.choice([first, second])} have when they go home?"
        )
        yield Item(id=f"word-{number}", question=question, answer=f"{a - b + c * b} in all")


def multiple_choice(rng: random.Random) -> Iterator[Item]:
    functions = list(_functions())
    for number, (module, name, _) in enumerate(rng.sample(functions, min(250, len(functions)))):
        doc = " ".join((inspect.getdoc(getattr(import_module(module), name)) or "").split("\n\n")[0].split())
        if len(doc) < 20:
            continue
        choices = (name, *rng.sample(sorted({other for _, other, _ in functions} - {name}), 3))
        question = f"Which function of the standard library's module {module} is described by these words: {doc}"
        yield Item(id=f"choice-{number}", question=question, answer="A", choices=choices)
    short = "Which {0} did {1} sell at {2}?"
    for number in range(100):  # these short questions are found only with their answer
        thing, name = rng.choice(_THINGS), rng.choice(_NAMES)
        answer = f"the {rng.choice(['copper', 'violet', 'broken', 'painted'])} {thing} of {rng.choice(_NAMES)}"
        yield Item(id=f"short-{number}", question=short.format(thing, name, rng.choice(_PLACES)), answer=answer)


def reading(rng: random.Random) -> Iterator[Item]:
    paragraphs = [
        " ".join(paragraph.split())
        for topic in pydoc_data.topics.topics.values()
        for paragraph in topic.split("\n\n")
        if 40 <= len(paragraph.split()) <= 120
    ]
    for number, passage in enumerate(rng.sample(sorted(set(paragraphs)), 400)):
        words = passage.split()
        at = rng.randrange(len(words) - 12)
        question = f"According to the passage, which sentence has the words '{' '.join(words[at : at + 9])}', and why?"
        yield Item(id=f"reading-{number}", question=question, answer=" ".join(words[at + 9 : at + 12]), passage=passage)


def _functions() -> Iterator[tuple[str, str, str]]:
    for module in _MODULES:
        source = inspect.getsource(import_module(module))
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield module, node.name, ast.get_source_segment(source, node) or ""


def code(rng: random.Random) -> Iterator[Item]:
    """Yields prompts for Python functions with random names and numbers, so that no repository contains them."""
    for number in range(450):
        name, other = rng.choice(_NAMES).lower(), rng.choice(_THINGS)
        a, b, c = rng.randint(3, 99), rng.randint(3, 99), rng.randint(2, 9)
        prompt = f'''def {name}_{other}(values, limit={a}):
            """Returns the {other} of {name} that are at least {b} and divisible by {c}, the largest first,
            without those that come after the first one above the limit; an empty list if there is none."""'''
        body = f"""    kept = [value for value in values if value >= {b} and value % {c} == 0]
            return sorted(kept, reverse=True)[:limit]"""
        yield Item(id=f"code-{number}", question=textwrap.dedent(prompt), answer=textwrap.dedent(body))


def translations(rng: random.Random) -> Iterator[Item]:
    english = "{name} buys {a} {thing} at the market and then gives {b} of them to the neighbours next door."
    for number in range(400):
        language, sentence = rng.choice(sorted(_LANGUAGES.items()))
        values = {
            "name": rng.choice(_NAMES),
            "thing": rng.choice(_THINGS),
            "a": rng.randint(11, 99),
            "b": rng.randint(2, 10),
        }
        yield Item(
            id=json.dumps([language, number]), question=sentence.format(**values), answer=english.format(**values)
        )
