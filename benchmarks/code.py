"""Compares our rules for source files with RedPajama's functions: speed on one core, and files with other results.

    python benchmarks/code.py EXPORT... [--redpajama github_clean_dedup_local.py] [--repeat N] [--show N]

Each EXPORT is a file that BigQuery exported: from a table ``contents*``, from a table ``files*``, or from a table that
joins these two. ``--redpajama`` is the path of RedPajama v1's file (in ``data_prep/github``). Two functions of this
file are run: ``clean_copyright_comments`` and ``get_filecontent_stats``. Our time includes all rules: path, type,
generated code, header, content hash, line lengths and alphanumeric share. The speed is in MB/s. ``--show`` prints the
heads of the first files from which our code and RedPajama's remove different text.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from filters.code.steps import AllowedLicence, CodeFiles, CodeHeader, CodeQuality
from pipeline.sources.github.reader import GitHubReader
from pipeline.sources.source import InputFile, Rejected, TableRow

FUNCTIONS = ("clean_copyright_comments", "get_filecontent_stats")


def open_file(path: str) -> Any:
    return Path(path).open("rb")


def files_of(paths: list[str]) -> list[tuple[str, str]]:
    """Returns (path in the repository, text) of every file in the exports. Files without a known path are left out."""
    reader, names, contents = GitHubReader(), {}, []
    for unit in reader.units([InputFile(path, Path(path).stat().st_size) for path in paths], open_file):
        for record in reader.read(unit, open_file):
            if isinstance(record, TableRow):
                if record.table == "files":
                    names.setdefault(record.row["id"], record.row["path"])
            elif not isinstance(record, Rejected):
                contents.append((record["id"], record["path"], record["text"]))
    return [(path or names[key], text) for key, path, text in contents if path or key in names]


def redpajama(path: str) -> dict[str, Callable[[str], Any]]:
    """Returns a dict of RedPajama's two functions. Only these functions are taken from the file, because importing it
    would parse the command line.
    """
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    taken = [
        node
        for node in tree.body
        if (isinstance(node, ast.FunctionDef) and node.name in FUNCTIONS)
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").endswith("PAT"))
    ]
    names: dict[str, Any] = {"re": re, "Dict": dict, "Union": __import__("typing").Union}
    exec(compile(ast.Module(body=taken, type_ignores=[]), path, "exec"), names)
    return {name: names[name] for name in FUNCTIONS}


def ours(batch: pa.RecordBatch) -> tuple[list[str], list[str | None]]:
    """Applies all our rules to a batch of files. Returns the texts after the removal of licence headers, and for each
    file the reason to drop it, or None if it is kept.
    """
    reasons: list[str | None] = [None] * batch.num_rows
    for step in (AllowedLicence(), CodeFiles(), CodeHeader(), CodeQuality()):
        outcome = step.apply(batch, {})
        reasons = [old or new for old, new in zip(reasons, outcome.verdict.to_pylist(), strict=True)]
        for name, column in outcome.columns.items():
            at = batch.schema.get_field_index(name)
            batch = batch.append_column(name, column) if at < 0 else batch.set_column(at, name, column)
    return batch.column("text").to_pylist(), reasons


def best(run: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    seconds, answer = [], None
    for _ in range(repeat):
        start = time.process_time()
        answer = run()
        seconds.append(time.process_time() - start)
    return min(seconds), answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", nargs="+")
    parser.add_argument("--redpajama")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--show", type=int, default=0, help="lines of this many heads that the two treat differently")
    args = parser.parse_args()
    files = files_of(args.exports)
    if not files:
        parser.error("no files in these exports")
    paths, texts = [path for path, _ in files], [text for _, text in files]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    batch = pa.record_batch({"path": paths, "text": texts, "license": ["mit"] * len(texts)})
    print(f"{len(files)} files, {megabytes:.1f} MB")
    seconds, (after, reasons) = best(lambda: ours(batch), args.repeat)
    print(f"ours        {megabytes / seconds:7.1f} MB/s", dict(Counter(reasons)))
    if not args.redpajama:
        return
    theirs = redpajama(args.redpajama)
    clean, stats = (theirs[name] for name in FUNCTIONS)
    seconds, cleaned = best(lambda: [clean(text) for text in texts], 1)
    more, _ = best(lambda: [stats(text) for text in cleaned], 1)
    print(f"redpajama   {megabytes / (seconds + more):7.1f} MB/s (two functions)")
    differs = [row for row in range(len(files)) if after[row] != cleaned[row] and reasons[row] is None]
    kept = [row for row in range(len(files)) if reasons[row] is None]
    print(f"of {len(kept)} files kept the two leave another text of {len(differs)}")
    for row in differs[: args.show]:
        print(f"--- {paths[row]}")
        for name, text in (("before", texts[row]), ("ours", after[row]), ("redpajama", cleaned[row])):
            print(f"{name:10}", text[:160].encode("unicode_escape").decode())


if __name__ == "__main__":
    main()
