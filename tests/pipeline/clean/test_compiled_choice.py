"""Tests that the size of the input decides whether compiled loops are used, and that the output does not depend on
this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy

from filters.language import compiled_sums
from filters.language.detect import Language
from pipeline.clean import phase
from pipeline.clean.sizing import COMPILE_BYTES, is_worth_compiling
from pipeline.files.spill import Shuffle
from pipeline.models.find import find_models
from pipeline.models.load import loaded_models
from pipeline.output.paths import Layout
from pipeline.settings.settings import parse
from pipeline.sources.source import Source

LANGUAGES = Path(__file__).parents[2] / "cases/common_crawl/languages.json"


@pytest.mark.parametrize("num_processes", [1, 2, 64])
def test_the_input_of_each_process_decides(num_processes: int) -> None:
    least = COMPILE_BYTES * num_processes
    assert [is_worth_compiling(size, num_processes) for size in (0, least - 1, least, 10 * least)] == [
        False, False, True, True,
    ]  # fmt: skip


def test_an_engine_that_reports_no_processes_needs_a_large_input() -> None:
    assert not is_worth_compiling(1000 * COMPILE_BYTES, 0)
    assert is_worth_compiling(10**12, 0)


def test_jobs_say_how_they_run_and_keep_their_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "c4-train.00000.json.gz"
    with path.open("wb") as file:
        file.truncate(COMPILE_BYTES)
    settings = parse([f"--input=c4={path}", f"--output={tmp_path}/out", "--phase=clean"])
    made = []
    for num_processes in (1, 2):
        prepared = phase.prepare_sources(settings, settings.inputs, None)
        (job,) = phase.pending_jobs(prepared, Layout(settings.output), settings, num_processes=num_processes,
                                    spill_dir="", shuffle=Shuffle(""), progress_dir=None)  # fmt: skip
        made.append(job)
    assert [job.sizes.is_compiled for job in made] == [True, False]
    assert made[0].fingerprint == made[1].fingerprint


def test_models_are_compiled_where_a_job_says_so() -> None:
    paths: Mapping[str, Any] = find_models(None)
    plain, compiled = (loaded_models([Language()], paths, is_compiled=one)["language"] for one in (False, True))
    assert compiled is plain.compiled
    assert type(compiled._words) is compiled_sums.CompiledWordSums
    assert type(plain._words) is not compiled_sums.CompiledWordSums


def test_both_forms_write_the_same_files(tmp_path: Path) -> None:
    sentences = [text for _, text in json.loads(LANGUAGES.read_text("utf-8"))]
    documents = [
        {"id": str(number), "source": "books", "text": text, "url": f"u{number}", "date": "2020"}
        for number, text in enumerate(
            [*sentences, *("\n".join(sentences[at : at + 3]) for at in range(40)), "x" * 9000]
        )
    ]
    toy.write_inputs(tmp_path / "in", documents, num_files=2)
    source = Source(name="books", reader=toy.ToyReader(), steps=(*toy.TOY.steps, Language(languages=())), cite="none")
    found = []
    for is_compiled in (False, True):
        out = tmp_path / f"out-{is_compiled}"
        job = toy.with_sizes(toy.job_of(source, tmp_path / "in", out), is_compiled=is_compiled)
        toy.run_job(replace(job, models={"language": find_models(None)["language"]}))
        found.append({
            str(path.relative_to(out)): path.read_bytes()
            for folder in ("clean", "dropped", "stats.json")
            for path in [out / folder, *(out / folder).rglob("*")] if path.is_file()
        })  # fmt: skip
    assert found[0] == found[1]
    assert len(found[0]) > 2
