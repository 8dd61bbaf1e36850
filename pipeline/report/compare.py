"""Compares two runs by their counts, shares, drop reasons and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console

from mixtures.plan.table import shown_epochs
from pipeline.report.output_state import UNFINISHED, WHOLE, RunState
from pipeline.report.settings import Difference, differences, settings_of
from pipeline.report.terminal import print_table

Rows = list[tuple[str, ...]]


def print_comparison(out: Console, a: RunState, b: RunState) -> None:
    """Prints the differences between two runs. If there are none, prints a line that says so."""
    out.print(f"A: {a.layout.output}\nB: {b.layout.output}", highlight=False, markup=False)
    for name, state in (("A", a), ("B", b)):
        if state.status != WHOLE:
            status = "did not finish" if state.status == UNFINISHED else "was cleaned, not mixed"
            out.print(f"{name} {status}", highlight=False, markup=False)
        for problem in state.problems:
            out.print(f"{name}: {problem}", highlight=False, markup=False)
    if note := tokenizer_note(a, b):
        out.print(note, highlight=False, markup=False)
    print_table(out, "documents and tokens", ("source", "", "A", "B", "change"), count_rows(a, b), left=2)
    if shares := share_rows(a, b):
        header = ("source", "share A %", "share B %", "epochs A", "epochs B", "tokens A", "tokens B")
        print_table(out, "mixture", header, shares)
    if reasons := reason_rows(a, b):
        print_table(out, "dropped, by reason", ("source", "stage: reason", "A", "B", "change"), reasons, left=2)
    _print_differences(out, "settings", differences(settings_of(a), settings_of(b)))
    _print_differences(out, "versions and models", differences(versions_of(a), versions_of(b)))
    _print_differences(out, "inputs", differences(inputs_of(a), inputs_of(b)))


def _print_differences(out: Console, title: str, found: Sequence[Difference]) -> None:
    if found:
        print_table(out, title, (title, "A", "B"), [(d.name, d.this, d.other) for d in found], left=3)
    else:
        out.print(f"{title}: nothing differs", highlight=False)


def _names(a: RunState, b: RunState) -> list[str]:
    return list(dict.fromkeys(s.name for state in (a, b) for s in state.sources))


def _stats(state: RunState, name: str) -> Mapping[str, Any] | None:
    one = state.source(name)
    return one.stats if one else None


def tokenizer_note(a: RunState, b: RunState) -> str:
    """Returns a sentence that says that the numbers of tokens of two runs cannot be compared, because their tokenizers
    differ. Returns an empty text if they have the same tokenizer, or if this is not known.
    """
    lines = [(state.manifest or {}).get("tokenizer") for state in (a, b)]
    if None in lines or lines[0]["sha256"] == lines[1]["sha256"]:  # type: ignore[index]
        return ""
    sizes = " and ".join(f"{line['vocab_size']:,}" for line in lines if line)
    return f"The tokenizers differ ({sizes} pieces), so numbers of tokens cannot be compared: compare the bytes."


def count_rows(a: RunState, b: RunState) -> Rows:
    """Returns the rows of a table that compares the documents, bytes and tokens of each source in the two runs."""
    rows: Rows = []
    tokens = "tokens, of different tokenizers" if tokenizer_note(a, b) else "tokens"
    for name in _names(a, b):
        for label, path in (
            ("documents in", ("documents", "in")),
            ("documents kept", ("documents", "kept")),
            ("bytes kept", ("bytes", "kept")),
            (tokens, ("tokens",)),
        ):
            values = [_value(_stats(state, name), path) for state in (a, b)]
            if values != [None, None]:
                rows.append((name, label, *_pair(*values)))
    return rows


def _value(stats: Mapping[str, Any] | None, path: Sequence[str]) -> int | None:
    found: Any = stats
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, int) else None


def _pair(a: int | None, b: int | None) -> tuple[str, str, str]:
    """Returns three texts: the two numbers, and the change from ``a`` to ``b``. The change is in percent of ``a``. If
    ``a`` is 0, the change is ``b``.

    >>> _pair(100, 90), _pair(None, 5), _pair(0, 2)
    (('100', '90', '-10.0 %'), ('-', '5', ''), ('0', '2', '+2'))
    """
    shown = ["-" if value is None else f"{value:,}" for value in (a, b)]
    if a is None or b is None:
        return shown[0], shown[1], ""
    change = "=" if a == b else f"{100 * (b - a) / a:+.1f} %" if a else f"{b - a:+,}"
    return shown[0], shown[1], change


def share_rows(a: RunState, b: RunState) -> Rows:
    """Returns the rows of a table that compares the mixtures of two runs. A row has the share, the epochs and the
    tokens of a source, or of a part of a source, in both mixtures. Returns no rows if neither run made a mixture.
    """
    lines = [(state.manifest or {"sources": {}})["sources"] for state in (a, b)]
    rows: Rows = []
    for name in dict.fromkeys([*_names(a, b), *lines[0], *lines[1]]):
        of = [one.get(name) for one in lines]
        if of != [None, None]:
            forms: tuple[tuple[str, Callable[[Any], str]], ...] = (
                ("share", "{:.4f}".format),
                ("epochs", lambda value: shown_epochs(value, decimals=3)),
                ("tokens", "{:,}".format),
            )
            rows.append((name, *(form(line[key]) if line else "-" for key, form in forms for line in of)))
    return rows


def reason_rows(a: RunState, b: RunState) -> Rows:
    """Returns the rows of a table: one row per source and drop reason. A row compares how many documents (or input
    records that never became documents) the two runs dropped for this reason.
    """
    rows: Rows = []
    for name in _names(a, b):
        counts = [_reasons(_stats(state, name)) for state in (a, b)]
        for reason in dict.fromkeys(reason for one in counts for reason in one or ()):
            pair = [None if one is None else one.get(reason, 0) for one in counts]
            rows.append((name, reason, *_pair(*pair)))
    return rows


def _reasons(stats: Mapping[str, Any] | None) -> dict[str, int] | None:
    if stats is None:
        return None
    found = {f"{row['stage']}: {reason}": n for row in stats["stages"] for reason, n in row["dropped"].items()}
    return found | {f"records: {reason}": n for reason, n in stats["records"].items()}


def versions_of(state: RunState) -> dict[str, str]:
    """Returns the versions of the packages that a run used, and the checksums of its models and its tokenizer."""
    manifest = state.manifest or {}
    found = {f"software.{name}": str(version) for name, version in manifest.get("software", {}).items()}
    models = dict(manifest.get("models", {}))
    for source in state.sources:
        models |= source.about.get("models", {})
    found |= {f"models.{key}": f"{one.get('name')} {str(one.get('sha256'))[:12]}" for key, one in models.items()}
    if "tokenizer" in manifest:
        found["tokenizer"] = f"{manifest['tokenizer']['vocab_size']:,} pieces {manifest['tokenizer']['sha256'][:12]}"
    return found


def inputs_of(state: RunState) -> dict[str, str]:
    """Returns a text about the input of each source: the number of files, the bytes and the fingerprint (a hash)."""
    inputs: Mapping[str, Any] = (state.manifest or {}).get("inputs", {})
    found = {}
    for source in state.sources:
        about = source.about.get("inputs") or inputs.get(source.name)
        if about:
            found[source.name] = f"{about['files']:,} files, {about['bytes']:,} bytes, {about['fingerprint'][:12]}"
    return found
