"""Computes what the mixture of LLaMA's paper costs, and prints it.

Each cost is computed from four inputs:

- the sizes of the sources and the shares that are kept, which are in this module;
- the speeds of whole runs on one core, which ``benchmarks/whole_runs.py`` wrote into ``rates.json``;
- the number of bytes per element (one item that a shuffle sends), which comes from the code;
- the prices, which flags can change.

docs/scale.md explains where the numbers come from and what they omit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from pipeline.clean.sizing import MAX_BUCKET_LINES, lines_of_input, scale_of
from pipeline.preflight.memory import BASE_BYTES, BATCH_BYTES, BUFFER_BYTES, BYTES_PER_LINE
from pipeline.scale.prices import Prices
from pipeline.scale.rates import clean_mb_per_s, mix_mb_per_s

_GB, _TB = 1e9, 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceScale:
    """Describes one source at its full size. The sizes are those of the releases that LLaMA's paper names.

    ``docs/scale.md`` has the origin of the numbers.
    """

    name: str
    stored_tb: float
    """Size of the input in TB as published, compressed."""
    text_tb: float
    """Size of the text in TB before the first step."""
    num_docs: float
    kept: float
    """Share of the text's bytes that is kept."""
    dropped_docs: float
    """Share of the documents (or records) that are dropped and get a row in ``dropped/``."""
    num_passes: int
    """Number of times that the text is spilled and read again."""
    spilled: float
    """Average share of the text that a pass writes to spill files (work files on disk)."""
    keys_per_doc: int
    shuffles_text: bool = False
    """True if a join shuffles the texts (answers to their question, contents to their files)."""
    dedups_lines: bool = False
    num_dumps: int = 1
    """Number of dumps. Each dump is cleaned separately. Before a dump is cleaned, the keys that earlier dumps wrote are
    read."""

    @property
    def mb_per_s(self) -> float:
        """The measured speed of the whole clean phase, in MB of text per second on one core."""
        found = clean_mb_per_s(self.name)
        assert found is not None, f"rates.json lacks {self.name}"
        return found


SOURCES = (
    SourceScale(name="common_crawl", stored_tb=42.0, text_tb=115.0, num_docs=15e9, kept=0.029, dropped_docs=0.95,
                num_passes=3, spilled=0.6, keys_per_doc=2, dedups_lines=True, num_dumps=5),
    SourceScale(name="c4", stored_tb=0.32, text_tb=0.81, num_docs=365e6, kept=0.97, dropped_docs=0.01,
                num_passes=2, spilled=1.0, keys_per_doc=2, dedups_lines=True),
    SourceScale(name="github", stored_tb=0.9, text_tb=2.9, num_docs=115e6, kept=0.11, dropped_docs=0.75,
                num_passes=2, spilled=0.6, keys_per_doc=2, shuffles_text=True),
    SourceScale(name="wikipedia", stored_tb=0.055, text_tb=0.25, num_docs=60e6, kept=0.33, dropped_docs=0.55,
                num_passes=1, spilled=0.5, keys_per_doc=1),
    SourceScale(name="books", stored_tb=0.06, text_tb=0.13, num_docs=250e3, kept=0.65, dropped_docs=0.3,
                num_passes=2, spilled=1.0, keys_per_doc=1),
    SourceScale(name="arxiv", stored_tb=2.9, text_tb=0.22, num_docs=1.9e6, kept=0.42, dropped_docs=0.1,
                num_passes=1, spilled=0.5, keys_per_doc=1),
    SourceScale(name="stack_exchange", stored_tb=0.092, text_tb=0.12, num_docs=24e6, kept=0.65, dropped_docs=0.02,
                num_passes=1, spilled=1.0, keys_per_doc=1, shuffles_text=True),
)  # fmt: skip

_PERPLEXITY_GB = 0.14
ELEMENT_OVERHEAD_BYTES = 30
"""Bytes of overhead per element in a shuffle. They store the key, the lengths, and Beam's window (a time range)."""
ELEMENT_SECONDS = 6.1e-6
"""CPU seconds for sending an element to the next stage. The value was measured on Spark
(``benchmarks/engine_elements.py``). Flink and the local runner take about half as long."""
KEY_BYTES = 110
REF_BYTES = 180
BATCH_TEXT_BYTES = 8e6
LEDGER_ROW_BYTES = 95
"""Stored bytes of a row of ``dropped``: id, stage, reason, detail and four signals, in Parquet with Zstandard. The
value is an upper bound: 36 bytes were measured for 568 CommonCrawl pages, 20 for 1,435 source files, 12 for 2,467
articles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Holds the cost of one stage of a source, such as ``clean``. The printed table has one line per stage."""

    source: str
    stage: str
    cpu_hours: float
    shuffled_tb: float = 0.0
    elements: float = 0.0
    spilled_tb: float = 0.0
    process_gb: float = BASE_BYTES / _GB
    largest: str = ""


def stages_of(s: SourceScale) -> list[Stage]:
    """Returns the costs of one source, one entry per stage.

    The stage ``clean`` has the measured time of the whole clean phase. It was measured in one process, so nothing was
    sent to other processes. The stages for keys (hashes of documents), for lines and for joined texts have only the
    cost of sending these things to other processes.
    """
    scale = scale_of(int(s.stored_tb * _TB / s.num_dumps))
    base = (BASE_BYTES + BATCH_BYTES + BUFFER_BYTES) / _GB
    batches = max(s.text_tb * _TB / BATCH_TEXT_BYTES, 1)
    # A dump also reads the keys of all earlier dumps. So with five dumps, each key is read two more times on average.
    keys = s.num_docs * s.keys_per_doc * (1 + (s.num_dumps - 1) / 2)
    found = [
        Stage(
            source=s.name, stage="clean", cpu_hours=s.text_tb * _TB / 1e6 / s.mb_per_s / 3600,
            spilled_tb=s.text_tb * s.spilled * s.num_passes,
            process_gb=base + (_PERPLEXITY_GB if s.name == "common_crawl" else 0),
        ),
        Stage(
            source=s.name, stage="keys", cpu_hours=keys * ELEMENT_SECONDS / 3600, elements=keys,
            shuffled_tb=(keys * KEY_BYTES + batches * REF_BYTES * s.num_passes) / _TB, process_gb=base,
        ),
    ]  # fmt: skip
    if s.dedups_lines:
        found.append(_line_stage(s, scale.num_line_buckets))
    if s.shuffles_text:
        group_gb = s.text_tb * _TB / scale.num_key_buckets / _GB
        found.append(
            Stage(
                source=s.name, stage="join of texts", cpu_hours=s.num_docs * 2 * ELEMENT_SECONDS / 3600,
                elements=s.num_docs * 2, shuffled_tb=s.text_tb, process_gb=base + 0.064,
                largest=f"{group_gb:.2f} GB a bucket, sorted on disk",
            )
        )  # fmt: skip
    kept_tb = s.text_tb * s.kept
    found.append(Stage(source=s.name, stage="tokenize, mix", cpu_hours=kept_tb * _TB / 1e6 / mix_mb_per_s() / 3600))
    return found


def _line_stage(s: SourceScale, num_buckets: int) -> Stage:
    """Returns the cost of the line dedup, which removes lines that documents share. It sends hashes of lines to buckets
    (groups of hashes that are compared). All hashes of one batch of documents that go to the same bucket are sent as
    one element.
    """
    lines = lines_of_input(int(s.stored_tb * _TB))
    lines_per_batch = lines / (s.text_tb * _TB / BATCH_TEXT_BYTES)
    payloads = lines / max(lines_per_batch / num_buckets, 1)
    verdict_share = 0.6  # share of the lines that are dropped; verdicts are packed like the lines
    elements = payloads * (1 + verdict_share)
    num_bytes = lines * 9 + lines * verdict_share * 8 + elements * (16 + ELEMENT_OVERHEAD_BYTES)
    in_bucket = lines / s.num_dumps / num_buckets
    held = min(in_bucket, MAX_BUCKET_LINES)
    disk = "" if in_bucket <= MAX_BUCKET_LINES else f", parted on {in_bucket * 50 / _GB:.0f} GB of disk"
    return Stage(
        source=s.name, stage="line dedup", cpu_hours=elements * ELEMENT_SECONDS / 3600,
        elements=elements, shuffled_tb=num_bytes / _TB,
        process_gb=(BASE_BYTES + BUFFER_BYTES + held * BYTES_PER_LINE) / _GB,
        largest=f"{in_bucket / 1e6:,.0f} M lines a bucket{disk}",
    )  # fmt: skip


def mix_stage(num_tokens: float, width: int = 2) -> Stage:
    """Returns the cost of the shuffle that sends each document to its shard. A document is sent once per epoch.
    ``width`` is the number of bytes of a token id.
    """
    size, elements = num_tokens * width, num_tokens / 700
    return Stage(
        source="all", stage="shuffle", cpu_hours=elements * ELEMENT_SECONDS / 3600, elements=elements,
        shuffled_tb=size / _TB, process_gb=(BASE_BYTES + BUFFER_BYTES) / _GB, largest="0.27 GB a shard",
    )  # fmt: skip


def ledger(sources: Sequence[SourceScale]) -> tuple[float, float]:
    """Returns the number of rows in the folder ``dropped`` (one per dropped document), and their stored bytes."""
    rows = sum(s.num_docs * s.dropped_docs for s in sources)
    return rows, rows * LEDGER_ROW_BYTES


def all_stages(num_tokens: float) -> list[Stage]:
    """Returns the costs of all sources, and of the shuffle that sends their documents to shards."""
    return [stage for s in SOURCES for stage in stages_of(s)] + [mix_stage(num_tokens)]


def print_scale(*, num_tokens: float, days: float, prices: Prices, console: Console) -> None:
    """Prints the table of costs and the totals."""
    stages = all_stages(num_tokens)
    table = Table(title=f"LLaMA's mixture, {num_tokens:.2g} tokens", title_justify="left")
    for name in (
        "source",
        "stage",
        "CPU hours",
        "shuffled TB",
        "elements",
        "spilled TB",
        "GB a process",
        "largest group",
    ):
        table.add_column(
            name, justify="left" if name in ("source", "stage", "largest group") else "right", no_wrap=True
        )
    for s in stages:
        table.add_row(s.source, s.stage, f"{s.cpu_hours:,.0f}", f"{s.shuffled_tb:,.2f}" if s.shuffled_tb else "",
                      f"{s.elements:.1e}" if s.elements else "", f"{s.spilled_tb:,.1f}" if s.spilled_tb else "",
                      f"{s.process_gb:.1f}", s.largest)  # fmt: skip
    console.print(table)
    hours, shuffled = sum(s.cpu_hours for s in stages), sum(s.shuffled_tb for s in stages)
    spilled = sum(s.spilled_tb for s in stages)
    workers = hours / (24 * days)
    memory = max(s.process_gb for s in stages) / 0.85
    rows, num_bytes = ledger(SOURCES)
    cost = {
        "CPU": hours * prices.cpu_hour,
        "memory": hours * max(memory, 4) * prices.memory_gb_hour,
        "shuffle": shuffled * 1000 * prices.shuffle_gb,
        "bucket": (spilled + num_bytes / _TB) * 1000 * prices.disk_gb_month * days / 30,
    }
    lines = [
        f"{hours:,.0f} CPU hours; {shuffled:,.0f} TB shuffled; {spilled:,.0f} TB spilled to the bucket and read again",
        f"in {days:g} days: {workers:,.0f} cores, {workers / 8:,.0f} machines of 8; at least {memory:.1f} GB a core",
        "at the given prices: "
        + ", ".join(f"{n} ${v:,.0f}" for n, v in cost.items())
        + f"; ${sum(cost.values()):,.0f} in all",
        f"ledger of what was dropped: {rows:.1e} rows, {num_bytes / _TB:.2f} TB; with run.dropped_share: 0 only "
        f"counts and the sample, under 1 GB",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
