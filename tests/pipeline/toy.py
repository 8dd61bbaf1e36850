"""A small source for tests of the clean phase: it reads JSON lines, and has exact dedups and a line dedup."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from filters.step import Models, Outcome, Step
from pipeline.clean.job import JobPlaces, JobSizes, SourceJob
from pipeline.clean.sizing import scale_of
from pipeline.clean.source_graph import CleanSource
from pipeline.engine.runner import choose_engine
from pipeline.engine.unit_list import ReadUnitList, write_unit_list
from pipeline.files.files import open_file
from pipeline.files.spill import Shuffle
from pipeline.settings.inputs import list_inputs
from pipeline.sources.dedup_steps import ExactDedup, LineDedup
from pipeline.sources.source import Document, InputFile, Opener, Reader, Rejected, Source, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyReader(Reader):
    DATA_VERSION: ClassVar[int] = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"url": pa.string(), "date": pa.string(), "_hidden": pa.string()}

    def knows(self, path: str) -> bool:
        return path.endswith(".jsonl")

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        return [Unit(path=f.path, num_bytes=f.num_bytes) for f in files]

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | Rejected]:
        with open_file(unit.path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    yield Rejected(location=f"{unit.location}:{number}", reason="not_json")


@dataclass(frozen=True, slots=True, kw_only=True)
class DropWord(Step):
    """Drops documents that contain a word, and counts the characters of the others."""

    DATA_VERSION: ClassVar[int] = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"num_chars": pa.int64()}
    REASONS: ClassVar[tuple[str, ...]] = ("has_word",)

    NAME: str = "drop_word"  # type: ignore[misc]
    word: str = "spam"

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        text = batch.column("text")
        verdict = pc.if_else(pc.match_substring(text, self.word), "has_word", pa.scalar(None, pa.string()))
        num_chars = pc.utf8_length(text)
        return Outcome(
            verdict=verdict,
            columns={"num_chars": num_chars.cast(pa.int64())},
            signals={"num_chars": num_chars.cast(pa.float64())},
        )


TOY = Source(
    name="books",
    reader=ToyReader(),
    steps=(
        DropWord(),
        ExactDedup(NAME="duplicate_id", reason="duplicate_id", key="id"),
        ExactDedup(NAME="duplicate_url", reason="duplicate_url", key="url", newest="date"),
        LineDedup(lines="ccnet", keep="ccnet"),
        DropWord(NAME="drop_more", word="junk"),
        ExactDedup(NAME="duplicate_text", reason="duplicate_text", key="text"),
    ),
    cite="none",
)


def write_inputs(folder: Path, documents: Sequence[Document], num_files: int) -> None:
    folder.mkdir(parents=True)
    for number in range(num_files):
        lines = [json.dumps(d) for d in documents[number::num_files]]
        (folder / f"in-{number}.jsonl").write_text("\n".join(lines) + "\n")


def job_of(source: Source, inputs: Path, out: Path, *, through_files: bool = True) -> SourceJob:
    listing = list_inputs(source.name, [str(inputs)])
    write_unit_list(str(out / "units"), source.reader.units(list(listing.files), open_file))
    (out / "spill").mkdir(parents=True)
    return SourceJob(
        source=source,
        fingerprint="f",
        models={},
        sizes=JobSizes(scale=scale_of(3 << 20), sample_docs=2),
        places=JobPlaces(
            units_path=str(out / "units"),
            marker=str(out / "marker.json"),
            stats_path=str(out / "stats.json"),
            spill_dir=str(out / "spill"),
            clean_dir=str(out / "clean"),
            dropped_dir=str(out / "dropped"),
            pairs_dir=str(out / "dedup"),
            shuffle=Shuffle(str(out / "spill"), by_reference=through_files),
        ),
    )


def with_sizes(job: SourceJob, **sizes: Any) -> SourceJob:
    return replace(job, sizes=replace(job.sizes, **sizes))


def run_job(job: SourceJob, *, num_workers: int = 1) -> dict[str, Any]:
    """Runs the clean phase of a source. Returns its statistics."""
    engine = choose_engine([f"--direct_num_workers={num_workers}"])
    pipeline = beam.Pipeline(runner=engine.runner, options=engine.options)
    _ = pipeline | "units" >> ReadUnitList(job.places.units_path) | "toy" >> CleanSource(job)
    pipeline.run().wait_until_finish()
    return json.loads(Path(job.places.stats_path).read_text())


def table(folder: str) -> list[dict[str, Any]]:
    """Returns the rows of a folder of Parquet files, sorted by id. The signals of a row become a dict from name to
    value.
    """
    rows = ds.dataset(folder, format="parquet").to_table().to_pylist()
    rows = [{**row, "signals": {one["name"]: one["value"] for one in row["signals"]}} for row in rows]
    return sorted(rows, key=lambda r: (r["id"], r["text"] or ""))
