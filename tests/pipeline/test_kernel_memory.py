"""Tests that the memory of a worker includes the compiler's memory, but only if a step needs the compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from toy import ToyReader

from filters.c4.english import C4English
from filters.ccnet.perplexity import Perplexity
from filters.language.detect import DetectLanguage, Language
from filters.rule_sets.fineweb import FineWebQuality
from filters.rule_sets.gopher import GopherQuality, GopherRepetition
from pipeline.clean.sizing import scale_of
from pipeline.models.find import find_models
from pipeline.preflight.memory import COMPILED_PIECES, KERNEL_BYTES, foresee
from pipeline.sources.dedup_steps import ExactDedup
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.source import AnyStep, Source

SAMPLE = Path(__file__).parents[2] / "samples" / "models"
PLAIN = ExactDedup(NAME="a", reason="a", key="id")


def process_bytes(*steps: AnyStep) -> int:
    source = Source(name="books", reader=ToyReader(), steps=steps, cite="none")
    return foresee([(source, {}, scale_of(10**6), 10**6)]).process_bytes


@pytest.mark.parametrize("step", [GopherQuality(), GopherRepetition(), FineWebQuality(), MinHashDedup()])
def test_a_step_with_kernels_adds_the_compiler(step: AnyStep) -> None:
    assert process_bytes(PLAIN, step) >= process_bytes(PLAIN) + KERNEL_BYTES


@pytest.mark.parametrize("step", [Language(), DetectLanguage(), C4English(method="fasttext"), Perplexity()])
def test_a_step_with_a_compiled_form_adds_the_compiler_if_that_is_used(step: AnyStep) -> None:
    source = Source(name="books", reader=ToyReader(), steps=(PLAIN, step), cite="none")
    numpy, compiled = (
        foresee([(source, {}, scale_of(10**6), 10**6)], is_compiled=is_compiled).process_bytes
        for is_compiled in (False, True)
    )
    assert (numpy, compiled) == (process_bytes(PLAIN), process_bytes(PLAIN) + KERNEL_BYTES)


def test_compiled_pieces_count_beside_those_of_the_package() -> None:
    source = Source(name="books", reader=ToyReader(), steps=(PLAIN, Perplexity()), cite="none")
    models = {"perplexity": find_models(str(SAMPLE))["perplexity"]}
    plain, compiled = (
        foresee([(source, models, scale_of(10**6), 10**6)], is_compiled=is_compiled) for is_compiled in (False, True)
    )
    pieces, ngrams = (SAMPLE / f"en.{name}" for name in ("sp.model", "arpa.bin"))
    assert compiled.process_bytes - plain.process_bytes == KERNEL_BYTES + COMPILED_PIECES * pieces.stat().st_size
    assert compiled.shared_bytes == plain.shared_bytes == ngrams.stat().st_size


def test_compiled_forms_do_not_count_without_such_a_step() -> None:
    source = Source(name="books", reader=ToyReader(), steps=(PLAIN,), cite="none")
    assert foresee([(source, {}, scale_of(10**6), 10**6)], is_compiled=True).process_bytes == process_bytes(PLAIN)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["filters.rule_sets.gopher.GopherQuality", "filters.rule_sets.gopher.GopherRepetition",
                                  "filters.rule_sets.fineweb.FineWebQuality", "filters.ccnet.length.MinLength",
                                  "filters.books.quality.BookQuality"])  # fmt: skip
def test_a_step_says_whether_it_has_kernels(name: str) -> None:
    """A new process applies the step. It prints the step's HAS_KERNELS, and whether the compiler was loaded. The two
    must agree.
    """
    module, step = name.rsplit(".", 1)
    code = (
        f"import sys, pyarrow as pa; from {module} import {step} as S; "
        "b = pa.record_batch({'text': ['Some words.'], 'path': ['a.py'], 'title': [''], 'id': ['1']}); "
        "S().apply(b, {}); print(S.HAS_KERNELS, 'numba' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert said in (["True", "True"], ["False", "False"])
