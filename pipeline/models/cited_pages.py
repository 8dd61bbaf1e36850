"""Finds pages to train the reference classifier on. For this, Wikipedia dumps are joined with CommonCrawl pages.

The classifier recognises pages that resemble the pages that Wikipedia cites. RedPajama's authors fetched about 300,000
cited pages for the training. A CommonCrawl dump already contains many cited pages, so this module does not have to
fetch any.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from filters.ccnet.length import MinLength
from filters.language.codes import LANGUAGES
from pipeline.engine.runner import Engine, choose_engine
from pipeline.engine.unit_list import ReadUnitList, write_unit_list
from pipeline.files.files import delete_tree, join, open_file, read_bytes
from pipeline.files.spill import Shuffle
from pipeline.models.fasttext_file import labels_of
from pipeline.models.join_cited_pages import CLEAN, By, FindReferences, ReferenceJob, WriteChosen
from pipeline.models.stored_files import StoredFile, local_path
from pipeline.models.train_perplexity import most_common
from pipeline.models.trained import MIN_POSITIVES
from pipeline.models.training_texts import Text
from pipeline.settings.inputs import Listing, list_inputs
from pipeline.settings.languages import meant_language
from pipeline.sources.common_crawl import CommonCrawlReader
from pipeline.sources.source import InputFile, Unit
from pipeline.sources.wikipedia.reader import WikipediaReader

MAX_PAGES = 300_000
"""The largest number of cited pages that are used. The same limit applies to random pages. RedPajama v1
(data_prep/cc/classifier) fetched about 300,000 pages.
"""
_BYTES_PER_BUCKET = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Holds the user's request: the inputs to search, and the pages to find in them."""

    wikipedia: Sequence[str]
    pages: Sequence[str]
    """WET or WARC files, lists of such files, or the clean documents of a run (Parquet)."""
    work_dir: str
    languages: tuple[str, ...] = ("en",)
    """The languages of the raw pages to use; empty for all languages."""
    language_model: Any = None
    max_pages: int = MAX_PAGES
    seed: int = 0
    beam_args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundPages:
    """Holds the result of :func:`find_pages`: the pages for training, and how many pages and addresses were seen."""

    by: By
    num_pages: int
    num_cited: int
    """The number of distinct addresses (or hosts) that the dumps cite."""
    num_matched: int
    left_out: Counter[str]
    """The number of raw pages that were left out, by language. Pages that are too short are counted under ``""``."""
    positives: Callable[[], Iterator[Text]]
    negatives: Callable[[], Iterator[Text]]


def find_pages(asked: Asked, *, say: Callable[[str], None] = print) -> FoundPages:
    """Finds pages that Wikipedia cites, and random other pages.

    At first, a page counts as cited if Wikipedia cites its address. If too few pages are found in this way, a page
    counts as cited if Wikipedia cites any address of its host.

    Raises:
        ValueError: an input does not exist or is in no known format, a language does not exist, no page is of the
            languages, or no page is from a cited host.
    """
    engine = choose_engine(asked.beam_args)
    dumps, pages = _dump_units(asked), _page_units(asked)
    write_unit_list(join(asked.work_dir, "dumps.jsonl"), dumps)
    write_unit_list(join(asked.work_dir, "pages.jsonl"), pages)
    is_raw = any(unit.kind != CLEAN for unit in pages)
    if is_raw and asked.languages:
        _check_languages(asked)
    num_bytes = sum(unit.num_bytes for unit in (*dumps, *pages))
    job = ReferenceJob(
        by="url",
        max_pages=asked.max_pages,
        num_buckets=max(16, num_bytes // _BYTES_PER_BUCKET),
        languages=asked.languages,
        language_model=asked.language_model if is_raw and asked.languages else None,
        seed=asked.seed,
        work_dir=asked.work_dir,
        shuffle=Shuffle(join(asked.work_dir, "spill"), by_reference=not engine.is_dataflow),
    )
    found = _joined(job, engine, asked, say)
    if not found.num_pages:
        raise ValueError(_no_page(asked, found.left_out))
    if found.num_matched < MIN_POSITIVES:
        say(
            f"{found.num_matched:,} pages whose address is cited, fewer than {MIN_POSITIVES:,}: falling back to pages "
            "of cited hosts, of which many would not be cited"
        )
        found = _joined(replace(job, by="host"), engine, asked, say)
    if not found.num_matched:
        raise ValueError("train-reference: not one page is of a host that the dumps cite; give more pages or dumps")
    return found


def _check_languages(asked: Asked) -> None:
    """Checks that the language identification model can return the languages."""
    path = asked.language_model
    labels = labels_of(local_path(path)) if isinstance(path, str | StoredFile) else sorted(LANGUAGES)
    for name in asked.languages:
        if name not in labels:
            hint = meant_language(name, labels)
            raise ValueError(f"train-reference: --language: the language model has no language {name!r}{hint}")


def _no_page(asked: Asked, left_out: Counter[str]) -> str:
    """Returns the message that none of the pages can be used. It says why."""
    num_short = left_out.pop("", 0)
    short = f"{num_short:,} pages are shorter than {MinLength().min_chars} characters" if num_short else ""
    if not left_out:
        return f"train-reference: the input of --pages has no page that can be used{short and ': '}{short}"
    others = f"the others are in {most_common(left_out)}"
    return (
        f"train-reference: no page is in {', '.join(asked.languages)}{short and '; '}{short}; {others}: name their "
        "languages with --language, with commas between, or all with --language ''"
    )


def _joined(job: ReferenceJob, engine: Engine, asked: Asked, say: Callable[[str], None]) -> FoundPages:
    p = beam.Pipeline(runner=engine.runner, options=engine.options)
    dumps = p | "dumps" >> ReadUnitList(join(asked.work_dir, "dumps.jsonl"))
    pages = p | "pages" >> ReadUnitList(join(asked.work_dir, "pages.jsonl"))
    _ = (dumps, pages) | "find" >> FindReferences(job)
    p.run().wait_until_finish()
    found = json.loads(read_bytes(job.found_path))
    what = "addresses" if job.by == "url" else "hosts"
    say(
        f"{found['cited']:,} distinct {what} are cited; of {found['pages']:,} pages {found['matched']:,} match; "
        f"taken: {found['positives']:,} of them and {found['negatives']:,} random others"
    )
    p = beam.Pipeline(runner=engine.runner, options=engine.options)
    _ = p | "pages" >> ReadUnitList(join(asked.work_dir, "pages.jsonl")) | "chosen" >> WriteChosen(job)
    p.run().wait_until_finish()
    folder = join(asked.work_dir, f"chosen-by-{job.by}")
    return FoundPages(
        by=job.by,
        num_pages=found["pages"],
        num_cited=found["cited"],
        num_matched=found["matched"],
        left_out=Counter(found["left_out"]),
        positives=functools.partial(_texts, folder, "wiki"),
        negatives=functools.partial(_texts, folder, "cc"),
    )


def forget(work_dir: str) -> None:
    """Deletes the working files of :func:`find_pages`, including the pages that it found."""
    delete_tree(work_dir)


def _texts(folder: str, label: str) -> Iterator[Text]:
    (matched,) = FileSystems.match([join(folder, "*.jsonl")])
    for path in sorted(m.path for m in matched.metadata_list):
        with open_file(path) as file:
            for line in file:
                row = json.loads(line)
                if row["label"] == label:
                    yield Text(row["text"], "", row["url"])


def _dump_units(asked: Asked) -> list[Unit]:
    reader = WikipediaReader()
    listing = list_inputs("wikipedia", list(asked.wikipedia))
    known = [file for file in listing.files if reader.knows(file.path)]
    if not known:
        raise ValueError(f"--wikipedia: {listing.files[0].path} is not a dump: names hold .xml and end in .xml or .bz2")
    return reader.units(known, open_file)


def _page_units(asked: Asked) -> list[Unit]:
    reader = CommonCrawlReader()
    expand = functools.partial(reader.expand, open_file=open_file)
    listing: Listing = list_inputs("pages", list(asked.pages), expand=expand)
    clean = [file for file in listing.files if file.path.endswith(".parquet")]
    raw: list[InputFile] = [file for file in listing.files if reader.knows(file.path)]
    if not clean and not raw:
        raise ValueError(f"--pages: {listing.files[0].path} is neither a WET or WARC file nor a Parquet file of pages")
    units = [Unit(path=file.path, num_bytes=file.num_bytes, kind=CLEAN) for file in clean]
    return [*units, *reader.units(raw, open_file)]
