"""Builds the page of a run: statistics, distributions and documents in one HTML file that needs no network.

:mod:`pipeline.report.eval_sets` makes the pages about evaluation sets.

Texts and names come from the input, so they may contain HTML. The template escapes the names, and the documents are
stored as JSON. The page's content policy allows only one script, which the policy names by hash. The page loads nothing
and sends nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from mixtures.notices import MARK
from pipeline.files.files import write_bytes
from pipeline.models.load import ModelPath
from pipeline.report import figures
from pipeline.report import run_tables as ran
from pipeline.report.against import against
from pipeline.report.charts import percent
from pipeline.report.collect import Collected, collect
from pipeline.report.documents import SAMPLE_BYTES
from pipeline.report.eval_sets import searched_sets, write_set_pages
from pipeline.report.explained import record_sentence
from pipeline.report.funnel import funnel, overview
from pipeline.report.judged import not_applied
from pipeline.report.near_dedups import near_dedups
from pipeline.report.output_state import CLEANED, UNFINISHED, RunState, SourceState, read_state
from pipeline.report.page_documents import samples_of
from pipeline.report.run_models import models_of, opened
from pipeline.report.verdict import verdict

MAX_PAGE_BYTES = 5_000_000
_SCRIPTS = ("search.js", "cards.js", "export.js", "page.js")
"""The files of the page's script. A file comes after the files that it uses."""
_SAMPLE_BUDGETS = (3_400_000, 2_000_000, 800_000, 200_000)
"""Limits for the documents in the page, in bytes, largest first. If the page is too large with one limit, the next
limit is tried."""


def write_report(output: str, *, sample_bytes: int = SAMPLE_BYTES, other: str | None = None) -> str:
    """Builds the page of a run, finished or not. Returns the path of the page.

    Args:
        sample_bytes: the largest number of stored bytes to read from each of a source's folders (``clean/`` and
            ``dropped/``). If a folder is larger, a fair sample of it is read.
        other: the output folder of a second run. A section of the page compares the two runs.

    Raises:
        ValueError: the folder is not the output of a run.
    """
    state = read_state(output)
    write_set_pages(state.layout)
    if other is not None and state.layout.output == read_state(other).layout.output:
        raise ValueError(f"{output} is the same run twice: give two folders to compare")
    page = render(state, sample_bytes=sample_bytes, other=None if other is None else read_state(other))
    write_bytes(state.layout.report, page.encode())
    return state.layout.report


def render(state: RunState, *, sample_bytes: int = SAMPLE_BYTES, other: RunState | None = None) -> str:
    """Returns the page of a run as HTML. To keep the page under 5 MB, it shows fewer or shorter documents if needed."""
    models = models_of(state)
    scores = {key: model for key in models if (model := opened(models, key)) is not None}
    collected = [
        (source, collect(state.layout, source, budget_bytes=sample_bytes, scores=scores)) for source in state.sources
    ]
    page = page_of(state, collected, models)
    page["against"] = None if other is None else against(other, state)
    counts = {
        (source.name, row["stage"], reason): number
        for source in state.sources
        for row in (source.stats or {"stages": []})["stages"]
        for reason, number in row["dropped"].items()
    }
    text = ""
    for budget in _SAMPLE_BUDGETS:
        samples = samples_of([(s.name, found) for s, found in collected], counts, budget_bytes=budget)
        text = _html({**page, "samples": samples}, samples.text)
        if len(text.encode()) < MAX_PAGE_BYTES:
            return text
    return text


def page_of(
    state: RunState, collected: Sequence[tuple[SourceState, Collected]], models: Mapping[str, ModelPath]
) -> dict[str, Any]:
    """Returns the values that fill the template of a run's page, without the documents that the page shows."""
    mixture = figures.mixture(state)
    recipe = state.recipe.name if state.recipe else (state.manifest or state.record).get("recipe", "unknown")
    title = f"Mixture report: {recipe}"
    titles = {
        UNFINISHED: "This run did not finish. What there is of it:",
        CLEANED: "The clean phase is done; nothing was mixed yet.",
    }
    problems = list(state.problems)
    if state.status == UNFINISHED and not problems:
        problems.append(
            "there is no whole manifest.json: the mix phase did not run to its end"
            if state.manifest is None
            else "the last run did not reach its end; the shards and manifest.json are those of an earlier run"
        )
    if state.status == CLEANED and not problems:
        problems.append("--phase=mix makes the mixture of it")
    problems += (f"{source.name}: {line}" for source, found in collected for line in figures.unreadable(found))
    return {
        "title": title,
        "subtitle": state.layout.output,
        "problems": problems,
        "problems_title": titles.get(state.status, "Not all could be read:"),
        "facts": _facts(state),
        "verdict": verdict(state, mixture, models, collected),
        "mixture": mixture,
        "overview": overview(state.sources),
        "anchors": {source.name: f"source-{number}" for number, source in enumerate(state.sources)},
        "per_token": figures.per_token_by_source([(source.name, found) for source, found in collected]),
        "sources": [_section(state, number, source, found) for number, (source, found) in enumerate(collected)],
        "eval_sets": searched_sets(state.layout),
        "tables": ran.tables(state),
    }


def _facts(state: RunState) -> list[tuple[str, str]]:
    facts = [("recipe", ran.recipe_name(state))]
    if state.manifest is not None:
        facts += [
            ("tokens", f"{state.manifest['tokens']:,}"),
            ("documents in the stream", f"{state.manifest['documents']:,}"),
            ("shards", f"{len(state.manifest['shards']):,}"),
        ]
    known = [source.stats for source in state.sources if source.stats is not None]
    facts += [
        ("documents read", f"{sum(s['documents']['in'] for s in known):,}"),
        ("kept", f"{sum(s['documents']['kept'] for s in known):,}"),
        ("text kept", f"{sum(s['bytes']['kept'] for s in known) / 1e6:,.1f} MB"),
    ]
    seed = (state.manifest or state.record.get("settings", {})).get("seed")
    facts += [("seed", str(seed))] if seed is not None else []
    made = (state.manifest or {}).get("created") or state.record.get("started")
    facts += [("made", str(made)[:16].replace("T", " ") + " UTC")] if made else []
    return facts


def _section(state: RunState, number: int, source: SourceState, found: Collected) -> dict[str, Any]:
    records = (source.stats or {"records": {}})["records"]
    return {
        "name": source.name,
        "anchor": f"source-{number}",
        "funnel": funnel(state, source, not_applied(source, found)),
        "near_dedups": near_dedups(source, found.members),
        "records": [
            (reason, count, record_sentence(reason))
            for reason, count in sorted(records.items(), key=lambda one: (-one[1], one[0]))
        ],
        "charts": figures.distributions(source, found),
        "constants": figures.constants(found),
        "read": figures.how_much_was_read(found),
    }


def _html(page: dict[str, Any], samples_json: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = percent
    assert environment.loader is not None
    loader = environment.loader
    style = loader.get_source(environment, "report.css")[0]
    script = '"use strict";\n' + "".join(loader.get_source(environment, name)[0] for name in _SCRIPTS)
    _mark_drawings(page)
    return environment.get_template("report.html").render(
        page=page,
        notices_mark=Markup(MARK),
        style=Markup(style),
        script=Markup(script),
        script_hash=Markup(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()),
        samples_json=Markup(samples_json),
    )


def _mark_drawings(page: dict[str, Any]) -> None:
    """Marks the charts as safe HTML, because they are drawn by this package. The template escapes every value that is
    not marked.
    """
    for one in (one for source in page["sources"] for one in source["near_dedups"]):
        one["chart"] = Markup(one["chart"])
    if page["per_token"]:
        page["per_token"]["svg"] = Markup(page["per_token"]["svg"])
    for source in page["sources"]:
        for chart in source["charts"]:
            chart["svg"] = Markup(chart["svg"])
