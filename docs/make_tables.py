"""Updates the tables in the documents that are generated from the code: ``make docs``, or ``python -m
docs.make_tables``.

A table is between two comments of a page: ``<!-- table: NAME -->`` and ``<!-- end of table -->``. Everything outside of
these comments is written by people and is not changed. ``--check`` writes nothing and exits with 1 if a page is not up
to date.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from filters.step import Step
from pipeline.report.limits import TITLES
from pipeline.sources import SOURCES
from pipeline.sources.all_steps import UNPLACED
from pipeline.sources.corpora.reader import CorpusReader
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.optional_steps import OPTIONAL_STEPS
from pipeline.sources.source import UNKNOWN_FORM, AnyStep, Source

ROOT = Path(__file__).parents[1]
_TABLE = re.compile(r"(<!-- table: ([^\n]+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)
_MAX_DEFAULT_CHARS = 40
"""If the default of a setting has more characters than this, the table shows only the number of its values."""
Writer = Callable[[str], Iterable[str]]
"""A function that yields the lines of a table. Its argument is the text of the table in the page now."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, or 1 if ``--check`` found a page that is not up to date."""
    parser = argparse.ArgumentParser(prog="python -m docs.make_tables", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is not up to date")
    check = parser.parse_args(argv).check
    changed = {path: text for path, text in pages(ROOT).items() if path.read_text("utf-8") != text}
    for path, text in changed.items():
        if not check:
            path.write_text(text, "utf-8")
        print(f"{path.relative_to(ROOT)}: {'not up to date' if check else 'written'}")
    return 1 if check and changed else 0


def pages(root: Path) -> dict[Path, str]:
    """Returns the text of every page that has tables, with the tables made from the code.

    Raises:
        ValueError: a page lacks a table, or has a table that no function makes.
    """
    return {root / name: with_tables(name, (root / name).read_text("utf-8"), tables) for name, tables in _tables(root)}


def with_tables(name: str, page: str, tables: Mapping[str, Writer]) -> str:
    """Returns a page with new tables.

    >>> print(with_tables("a.md", "<!-- table: t -->\\n<!-- end of table -->", {"t": lambda old: ["| a |", "|---|"]}))
    <!-- table: t -->
    | a |
    |---|
    <!-- end of table -->
    """
    found = [title for _, title, _, _ in _TABLE.findall(page)]
    if sorted(found) != sorted(tables):
        wrong = sorted(set(found) ^ set(tables)) or sorted({title for title in found if found.count(title) > 1})
        raise ValueError(
            f"{name}: one and only one <!-- table: NAME --> and <!-- end of table --> is needed for each of "
            f"{', '.join(tables)}; look at: {', '.join(wrong)}"
        )
    return _TABLE.sub(lambda m: m[1] + "".join(f"{line}\n" for line in tables[m[2]](m[3])) + m[4], page)


def _tables(root: Path) -> Iterator[tuple[str, dict[str, Writer]]]:
    yield "README.md", {"sources": lambda old: _sources(root, old)}
    yield "CHANGELOG.md", {"data versions": lambda old: _data_versions()}
    steps: dict[str, Writer] = {f"steps of {name}": _steps_writer(source) for name, source in SOURCES.items()}
    yield "docs/recipe.md", {**steps, "licences": lambda old: _licences()}
    yield "docs/corpora.md", {"steps for any source": lambda old: _unplaced()}
    yield (
        "docs/formats.md",
        {
            "columns": lambda old: _columns(),
            "signals": lambda old: _signals(),
            "reasons of records": lambda old: _reasons_of_records(),
        },
    )


def _signals() -> Iterator[str]:
    """Yields one row per signal that the page of a run draws."""
    yield from _head("signal", "is")
    for name, title in TITLES.items():
        yield _row(f"`{name}`", title)


def _unplaced() -> Iterator[str]:
    """Yields one row per step that no source uses by default. Such a step runs only if a configuration file names
    it.
    """
    yield from _head("step", "rule", "settings (default)", "from", "reasons")
    for step in (*UNPLACED, *OPTIONAL_STEPS.values()):
        yield _row(f"`{step.NAME}`", rule_of(step), _settings(step), _cite(step), _names(reasons_of(step)))


def _steps_writer(source: Source) -> Writer:
    return lambda old: _steps(source)


def _steps(source: Source) -> Iterator[str]:
    """Yields one row per step, in the order in which documents pass the steps. The reader and the join come first."""
    yield from _head("step", "rule", "settings (default)", "from", "reasons")
    see_formats = "see [formats](formats.md#reasons-of-records)"
    for name, value in (("reader", source.reader), ("join", _join(source))):
        if value is not None:
            yield _row(name, rule_of(value), _settings(value, f"{name}."), _cite(value), see_formats)
    for step in source.steps:
        yield _row(f"`{step.NAME}`", rule_of(step), _settings(step), _cite(step), _names(reasons_of(step)))


def _join(source: Source) -> Any:
    join = getattr(source, "join_settings", None) or source.join
    return join if dataclasses.is_dataclass(join) else None


def rule_of(value: Any) -> str:
    """Returns the rule of a step, a reader or a join. It is the text in ``rule``, or else the first paragraph of the
    docstring.
    """
    own = getattr(value, "rule", "") or getattr(value, "RULE", "")
    return own or markdown((inspect.getdoc(type(value)) or "").split("\n\n", 1)[0])


def markdown(docstring: str) -> str:
    """Returns a paragraph of a docstring as one line of Markdown.

    >>> markdown("Drops pages under ``min_chars``\\n(:class:`filters.step.Step`).")
    'Drops pages under `min_chars` (`filters.step.Step`).'
    """
    return " ".join(re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring).replace("``", "`").split())


def _cite(value: Any) -> str:
    return getattr(value, "cite", "") or getattr(value, "CITE", "") or "ours"


def reasons_of(step: AnyStep) -> tuple[str, ...]:
    return step.REASONS if isinstance(step, Step) else step.reasons


def _settings(value: Any, prefix: str = "") -> str:
    fixed = DedupStep.FIXED
    fields = [field for field in dataclasses.fields(value) if field.name not in fixed and field.name[0] != "_"]
    return ", ".join(f"`{prefix}{field.name}`{_default(getattr(value, field.name))}" for field in fields)


def _default(value: Any) -> str:
    """Returns the default of a setting in the form for a configuration file; an empty text if the default is empty.

    >>> _default(0.5), _default(("head", "middle")), _default(None), _default(frozenset(map(str, range(50))))
    (' (0.5)', ' ([head, middle])', '', ' (50 values)')
    """
    if value is None or value == "" or value == () or value == frozenset():
        return ""
    plain = sorted(value) if isinstance(value, frozenset) else list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
    return f" ({text})" if len(text) <= _MAX_DEFAULT_CHARS else f" ({len(value)} values)"


def _columns() -> Iterator[str]:
    yield from _head("source", "columns")
    for name, source in SOURCES.items():
        columns = dict(source.reader.COLUMNS)
        for step in source.steps:
            columns |= step.COLUMNS if isinstance(step, Step) else {}
        shown = [(c, t) for c, t in columns.items() if not c.startswith("_") and c != "language"]
        groups = groupby(shown, key=lambda one: _type(one[1]))
        yield _row(name, "; ".join(f"{_names(c for c, _ in group)} {kind}" for kind, group in groups))


def _type(kind: pa.DataType) -> str:
    """Returns the name of a type for the tables.

    >>> _type(pa.list_(pa.int64())), _type(pa.bool_())
    ('list of int64', 'bool')
    """
    return f"list of {_type(kind.value_type)}" if pa.types.is_list(kind) else str(kind)


def _reasons_of_records() -> Iterator[str]:
    yield from _head("source", "broken", "not broken")
    yield _row("all", "", _names([UNKNOWN_FORM]))
    for name, source in SOURCES.items():
        yield _row(name, _names(source.reader.BROKEN), _names(source.reader.NOT_BROKEN))
    yield _row("declared corpora", _names(CorpusReader.BROKEN), _names(CorpusReader.NOT_BROKEN))


def _data_versions() -> Iterator[str]:
    yield from _head("source", "data versions")
    for name, source in SOURCES.items():
        versions = [("reader", source.reader.DATA_VERSION), *((s.NAME, s.DATA_VERSION) for s in source.steps)]
        yield _row(name, ", ".join(f"{step} {version}" for step, version in versions))
    steps = (*UNPLACED, *OPTIONAL_STEPS.values())
    any_source = [("reader", CorpusReader.DATA_VERSION), *((step.NAME, step.DATA_VERSION) for step in steps)]
    yield _row("declared corpora", ", ".join(f"{step} {version}" for step, version in any_source))


def _licences() -> Iterator[str]:
    yield from _head("source", "licence", "what it asks")
    for name, source in SOURCES.items():
        licence = source.licence
        yield _row(name, f"{licence.name} ([terms]({licence.link}))" if licence.link else licence.name, licence.asks)


def _sources(root: Path, old: str) -> Iterator[str]:
    """Yields the sources of the paper's recipe with their weights. People write the last two cells of a row."""
    recipe = yaml.safe_load((root / "mixtures/recipes/llama.yaml").read_text("utf-8"))
    by_hand = {cells[1].strip(): cells[3:5] for line in old.splitlines() if len(cells := line.split("|")) > 5}
    yield "| source | weight | read from | cleaned by |"
    yield "|---|--:|---|---|"
    for name, weight in recipe["mixture"]["weights"].items():
        read_from, cleaned_by = (cell.strip() for cell in by_hand.get(f"`{name}`", ("", "")))
        yield f"| `{name}` | {weight:g} % | {read_from} | {cleaned_by} |"


def _head(*titles: str) -> Iterator[str]:
    yield _row(*titles)
    yield "|" + "---|" * len(titles)


def _row(*cells: str) -> str:
    """Returns the line of a table in Markdown.

    >>> _row("a", "", "b | c")
    '| a | | b \\\\| c |'
    """
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in (cell.replace("|", "\\|") for cell in cells))


def _names(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in dict.fromkeys(names))


if __name__ == "__main__":
    sys.exit(main())
