"""Reads the column by whose values a recipe divides a source into parts.

Before work starts, this module checks that the source has the column, and that documents can have the named values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from filters.ccnet.perplexity import Perplexity
from filters.code.languages import tables as code_tables
from filters.code.steps import CodeFiles
from filters.exclude import host_of
from filters.language.detect import Language
from filters.wikitext.article import WikiLanguages
from filters.wikitext.wiki_names import language_of_wiki
from mixtures.part_rows import check_column, column_values, part_numbers
from mixtures.parts import PartRule
from pipeline.clean.step_runner import clean_schema
from pipeline.files.checked import DamagedFile
from pipeline.files.files import open_file
from pipeline.sources.source import Source
from tokenizer.did_you_mean import NUM_LISTED, did_you_mean

_HOST = "host"


def check_columns(rules: Mapping[str, PartRule], sources: Iterable[Source]) -> None:
    """Checks that the recipe can divide the sources into parts. ``sources`` are the sources that this run will clean.

    Raises:
        ValueError: a source lacks the column by which the recipe divides it. Or the recipe names a value of this column
            that no document of the source can have.
    """
    for source in sources:
        if source.name in rules:
            check_column(f"parts of {source.name}", rules[source.name].by, clean_schema(source))
            _check_values(rules[source.name], source)


def _check_values(rule: PartRule, source: Source) -> None:
    for setting, kept in _kept_values(source, rule.by):
        for value in rule.named:
            if value not in kept:
                keeps = ", ".join(sorted(kept)) if len(kept) <= NUM_LISTED else "no such value"
                raise ValueError(
                    f"parts of {source.name}: no document will have the {rule.by} {value}{did_you_mean(value, kept)} "
                    f"(sources.{source.name}.{setting} keeps {keeps}); add it there, or take it out of "
                    f"mixture.weights.{source.name}"
                )


def _kept_values(source: Source, by: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yields a source's settings that list the values of a column that are kept, with these values."""
    for step in source.steps:
        if isinstance(step, Language) and by == "language" and step.languages:
            yield f"{step.NAME}.languages", frozenset(step.languages)
        elif isinstance(step, WikiLanguages) and by == "language":
            yield f"{step.NAME}.wikis", frozenset(map(language_of_wiki, step.wikis))
        elif isinstance(step, Perplexity) and by == "bucket":
            yield f"{step.NAME}.keep", frozenset(step.keep)
        elif isinstance(step, CodeFiles) and by == "programming_language":
            yield f"{step.NAME}.kept_languages", frozenset(step.kept_languages or code_tables().comments)


def check_files(rules: Mapping[str, PartRule], files: Mapping[str, str]) -> None:
    """Raises ValueError if the clean documents of a source lack the column by which the recipe divides the source into
    parts.

    Args:
        files: one clean file of each source.
    """
    for source, rule in rules.items():
        if source in files:
            check_column(f"parts of {source}", rule.by, _schema(files[source]))


def _schema(path: str) -> pa.Schema:
    try:
        with open_file(path) as file:
            return pq.read_schema(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise DamagedFile(path, error, "delete it and run again: its source is cleaned again") from error


def part_values(batch: pa.RecordBatch, column: str) -> pa.Array:
    """Returns the value of a column for each clean document, as text. If the documents have no column ``host``, it is
    made from ``url``. A value that is missing or too long becomes an empty text.

    >>> batch = pa.record_batch({"url": ["https://A.example/1", None], "size": [7, None]})
    >>> part_values(batch, "host").to_pylist(), part_values(batch, "size").to_pylist()
    (['a.example', ''], ['7', ''])
    """
    if column == _HOST and _HOST not in batch.schema.names:
        return column_values(pa.array([host_of(url) for url in batch.column("url").to_pylist()], pa.string()))
    return column_values(batch.column(column))


def in_mixture(batch: pa.RecordBatch, rule: PartRule | None) -> pa.RecordBatch:
    """Returns a batch without the documents that the recipe leaves out of the mixture.

    ``rule`` divides the source into parts by the values of a column. Documents whose value the rule does not name
    belong to the part ``other``. If the rule has no part ``other``, these documents are left out. If ``rule`` is None,
    no documents are left out.
    """
    if rule is None or rule.has_other:
        return batch
    return batch.filter(pa.array(part_numbers(rule, part_values(batch, rule.by)) >= 0))


def columns_of(rule: PartRule | None) -> tuple[str, ...]:
    """Returns the columns that `in_mixture` needs."""
    return () if rule is None or rule.has_other else (rule.by, "url") if rule.by == _HOST else (rule.by,)
