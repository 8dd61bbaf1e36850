"""Compares our CommonCrawl steps with cc_net in speed. Also measures our memory, and the gain from a second process.

    python benchmarks/common_crawl.py speed  WET... --models DIR --cc_net CHECKOUT [--only_english] [--megabytes 40]
    python benchmarks/common_crawl.py memory WET... [--megabytes 1000]
    python benchmarks/common_crawl.py processes WET... --models DIR [--megabytes 400] [--only_dedup]

The input has ``--megabytes`` of text: first the WET files' pages, then generated pages with the same statistics
(``web_pages.py``). No page occurs twice.

``speed`` prints MB of text per CPU second, for each stage and for the whole chain. Our chain runs as a user runs it,
with the recipe ``ccnet`` and one process. The cost of its start is measured by a run on one page and subtracted. Our
code and cc_net run alternately, several times, so the ratios are valid even on a busy machine. The best run of each
counts. With ``--only_reading``, only the readers are measured. cc_net needs func_argparse, pandas and bs4.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import web_pages
from cc_net_peer import CcNet

from filters.ccnet.line_hashes import drop_lines
from filters.ccnet.perplexity import normalize
from pipeline.clean.dedup.line_keys import (
    line_payloads,
    lines_to_keep,
    lost_lines,
    parse_line_payload,
    with_line_hashes,
)
from pipeline.models.find import find_models
from pipeline.models.load import ModelFiles, load
from pipeline.sources.common_crawl import CommonCrawlReader
from pipeline.sources.dedup_steps import LineDedup
from pipeline.sources.source import InputFile

ROOT = Path(__file__).resolve().parents[1]
PASSES = ("dedup, pass 1", "dedup, pass 2")
DEDUP_ONLY = {"language": False, "perplexity": False, "reference": False}


@dataclass
class Used:
    """Holds the CPU seconds, the wall seconds and the peak memory of a command."""

    cpu_seconds: float
    seconds: float
    peak_bytes: int


def run_pipeline(config: dict[str, Any], paths: list[str], out: Path, models: str | None, processes: int = 1) -> Used:
    """Runs the command of the clean phase over WET files, as a user does. Returns what it used."""
    out.mkdir(parents=True)
    (out / "config.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pipeline.run", f"--config={out / 'config.yaml'}", "--phase=clean"]
    command += [f"--input=common_crawl={Path(paths[0]).parent}", f"--output={out / 'out'}"]
    command += [f"--direct_num_workers={processes}", *([f"--models={models}"] if models else [])]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        peak = [0]
        watch = threading.Thread(target=_watch, args=(process, peak))
        watch.start()
        output, _ = process.communicate()
        watch.join()
    if process.returncode:
        raise SystemExit(output)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Used(cpu, time.monotonic() - begun, peak[0])


def _watch(process: subprocess.Popen[str], peak: list[int]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], _tree_bytes(process.pid))
        time.sleep(0.05)


def _tree_bytes(pid: int) -> int:
    """Returns the resident bytes of a process and its children. A shared memory page counts once for each process."""
    try:
        status = Path(f"/proc/{pid}/statm").read_text().split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        tasks = [c for t in os.listdir(f"/proc/{pid}/task") if t != str(pid)
                 for c in Path(f"/proc/{pid}/task/{t}/children").read_text().split()]  # fmt: skip
    except (OSError, IndexError):
        return 0
    return int(status[1]) * os.sysconf("SC_PAGE_SIZE") + sum(_tree_bytes(int(c)) for c in {*children, *tasks})


def cpu(work: Callable[[], Any], repeat: int = 1) -> tuple[float, Any]:
    """Calls a function ``repeat`` times. Returns the CPU seconds of the fastest call, and the function's result. Other
    work on the machine can only make a call slower.
    """
    best, result = float("inf"), None
    for _ in range(repeat):
        begun = time.process_time()
        result = work()
        best = min(best, time.process_time() - begun)
    return best, result


def read_ours(paths: list[str]) -> Iterator[dict[str, Any]]:
    reader = CommonCrawlReader()
    for unit in reader.units([InputFile(path, 1) for path in paths], web_pages.open_file):
        yield from (page for page in reader.read(unit, web_pages.open_file) if isinstance(page, dict))


def reading_seconds(paths: list[str], peer: CcNet, num_rounds: int) -> list[tuple[float, float]]:
    """Returns the CPU seconds of our reader and of cc_net's reader for the same files, one pair per round.

    Each page is released when the next one is read, as in a real run of either project.
    """
    sides: tuple[Callable[[list[str]], Iterator[Any]], ...] = (read_ours, peer.read)
    rounds = []
    for _ in range(num_rounds):
        (ours, _), (theirs, _) = (cpu(lambda: deque(side(paths), maxlen=0)) for side in sides)  # noqa: B023
        rounds.append((ours, theirs))
    return rounds


def dedup_ours(batches: list[pa.RecordBatch]) -> dict[str, Any]:
    """Runs the line dedup without Beam, and measures its two passes: the first finds the repeated lines, the second
    drops them. Returns a dict with the CPU seconds of each pass, and the texts of the kept pages.
    """
    step, num_buckets = LineDedup(scope="all"), 16

    def first() -> tuple[list[pa.RecordBatch], dict[int, list[bytes]]]:
        hashed, payloads = [with_line_hashes(batch, step) for batch in batches], {b: [] for b in range(num_buckets)}
        for number, batch in enumerate(hashed):
            for bucket, payload in line_payloads(batch, number.to_bytes(12, "big"), step, num_buckets):
                payloads[bucket].append(payload)
        return hashed, payloads

    def judge(payloads: dict[int, list[bytes]]) -> dict[int, list[np.ndarray]]:
        lost: dict[int, list[np.ndarray]] = {}
        for group in payloads.values():
            parsed = [parse_line_payload(payload, step.keep) for payload in group]
            if parsed:
                found = lost_lines([p[1] for p in parsed], [p[2] for p in parsed], step.keep)
                for (batch_id, _, _), gone in zip(parsed, found, strict=True):
                    lost.setdefault(int.from_bytes(batch_id, "big"), []).append(gone)
        return lost

    def second(hashed: list[pa.RecordBatch], lost: dict[int, list[np.ndarray]]) -> list[str]:
        texts = []
        for number, batch in enumerate(hashed):
            keep, _ = lines_to_keep(batch, step, np.concatenate(lost.get(number, [np.empty(0, np.uint64)])))
            kept = drop_lines(batch.column("text"), ~keep)
            texts += [t for t, n in zip(kept.text.to_pylist(), kept.num_lines.to_pylist(), strict=True) if n]
        return texts

    one, (hashed, payloads) = cpu(first)
    judged, lost = cpu(lambda: judge(payloads))
    two, texts = cpu(lambda: second(hashed, lost))
    return {"dedup, pass 1": one + judged, "dedup, pass 2": two, "texts": texts}


def native_seconds(
    rows: list[dict[str, Any]], texts: list[str], models: dict[str, Any], repeat: int
) -> dict[str, float]:
    """Runs fastText, SentencePiece and KenLM on the texts, without our code. Returns a dict with the seconds that each
    library takes.

    Each library gets the texts in the form that it processes fastest.
    """
    language, scorers = load("language", models["language"]), load("perplexity", models["perplexity"])
    lines = [text.replace("\n", "") + "\n" for text in texts]
    seconds = {"fastText": cpu(lambda: [language._predict(text, 1, 0.0, "strict") for text in lines], repeat)[0]}
    for name, model in scorers.items():
        plain = [normalize(row["text"]).encode("utf-8") for row in rows if row["language"] == name]
        took, pieces = cpu(lambda: [model.pieces.encode(text, out_type=bytes) for text in plain], repeat)  # noqa: B023
        seconds["SentencePiece"] = seconds.get("SentencePiece", 0.0) + took
        joined = [b" ".join(one) for one in pieces]
        took, _ = cpu(lambda: [model.lm.score(one) for one in joined], repeat)  # noqa: B023
        seconds["KenLM"] = seconds.get("KenLM", 0.0) + took
    return seconds


def speed(flags: argparse.Namespace, folder: Path) -> None:
    pages = web_pages.real_pages(flags.wet, only_english=flags.only_english)
    paths = web_pages.write_wets(folder / "wet", web_pages.generated(pages), text_bytes=int(flags.megabytes * 1e6))
    tiny = web_pages.write_wets(folder / "tiny", iter(pages), text_bytes=1)
    found = find_models(flags.models)
    models = {key: found[key] for key in ("language", "perplexity")}
    files = models["perplexity"]
    assert isinstance(files, ModelFiles)
    peer = CcNet(flags.cc_net, str(models["language"]), Path(flags.models))
    cutoffs = Path(str(files.get("cutoff.csv")))
    read = [page for page in read_ours(paths) if len(page["text"]) >= 300]
    num_bytes = sum(len(page["text"].encode()) for page in read)
    batches = [pa.table({"text": [p["text"] for p in read[i : i + 512]]}).to_batches()[0]
               for i in range(0, len(read), 512)]  # fmt: skip
    config = {"recipe": "ccnet"}
    print(f"{len(read):,} pages, {num_bytes / 1e6:.1f} MB of text, {'English' if flags.only_english else 'mixed'}")
    print(f"{'':16}{'ours':>8}{'cc_net':>9}  ratio   (MB/s a core)")
    seconds = reading_seconds(paths, peer, 3 * flags.repeat)
    reading = [min(side) for side in zip(*seconds, strict=True)]
    _line("reading", num_bytes, *reading)
    ratios = sorted(theirs / ours for ours, theirs in seconds)
    print(f"{'':16}one round with another: {ratios[0]:.2f} to {ratios[-1]:.2f}, half of them over {median(ratios):.2f}")
    if flags.only_reading:
        return
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    whole, empty = [], []
    for number in range(flags.repeat):  # alternate the sides, so that a slow minute affects both
        theirs = peer.run(paths, cutoffs)
        # First the stages in this process, then the whole chain as a user runs it.
        deduped = dedup_ours(batches)
        rounds.append(({stage: deduped[stage] for stage in PASSES}, dict(peer.seconds)))
        empty.append(run_pipeline(config, tiny, folder / f"empty{number}", flags.models).cpu_seconds)
        whole.append(run_pipeline(config, paths, folder / f"whole{number}", flags.models).cpu_seconds)
    rows = ds.dataset(folder / "whole0/out/clean/common_crawl").to_table().to_pylist()
    chain = min(whole) - min(empty)
    native = native_seconds(rows, deduped["texts"], models, flags.repeat)
    for stage in PASSES:
        _line(stage, num_bytes, *(min(side[stage] for side in sides) for sides in zip(*rounds, strict=True)))
    both = [min(sum(side[stage] for stage in PASSES) for side in sides) for sides in zip(*rounds, strict=True)]
    _line("both passes", num_bytes, *both)
    _line("whole chain", num_bytes, chain, reading[1] + min(sum(stages.values()) for _, stages in rounds))
    print(f"with its start ({min(empty):.1f} s): {num_bytes / 1e6 / min(whole):.2f} MB/s")
    alone = ", ".join(f"{name} {seconds:.1f}" for name, seconds in native.items())
    total = sum(native.values())
    print(f"native kernels alone {total:.1f} s of CPU ({alone}); the whole chain {chain / total:.2f} times that")
    agree(rows, theirs)


def _line(stage: str, num_bytes: int, ours: float, theirs: float) -> None:
    print(f"{stage:16}{num_bytes / 1e6 / ours:8.2f}{num_bytes / 1e6 / theirs:9.2f}{theirs / ours:7.2f}")


def agree(rows: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Prints for how many pages our result equals cc_net's in text, language, language score, perplexity and bucket."""
    by_url = {row["url"]: row for row in rows}
    same = dict.fromkeys(("text", "language", "language_score", "perplexity", "bucket"), 0)
    for page in theirs:
        row = by_url.get(page["url"], {})
        given = {**page, "text": page["raw_content"]}
        for name in same:
            mine, their = row.get(name), given.get(name)
            same[name] += bool(row) and (abs(mine - their) < 1e-6 if isinstance(their, float) else mine == their)
    print(f"pages kept: ours {len(rows):,}, cc_net {len(theirs):,}; equal: {same}")


def memory(flags: argparse.Namespace, folder: Path) -> None:
    """Measures the peak memory of a run with only the line dedup, for N and for 4 N megabytes of text (N is
    ``--megabytes``). With N = 1000 (the default), the two peaks are almost equal.
    """
    pages = web_pages.generated(web_pages.real_pages(flags.wet, only_english=False))
    config = {"recipe": "ccnet", "sources": {"common_crawl": DEDUP_ONLY}}
    peaks = []
    for times in (1, 4):
        size = int(times * flags.megabytes * 1e6)
        paths = web_pages.write_wets(folder / f"wet{times}", pages, text_bytes=size)
        used = run_pipeline(config, paths, folder / f"out{times}", None)
        peaks.append(used.peak_bytes)
        _report(f"dedup of {size / 1e6:,.0f} MB", used)
    print(f"4 times the text: {peaks[1] / peaks[0]:.2f} times the memory")


def _report(what: str, used: Used) -> None:
    memory = f"peak {used.peak_bytes / 1e6:,.0f} MB of all processes"
    print(f"{what}: {used.seconds:.1f} s, {used.cpu_seconds:.1f} s of CPU, {memory}", flush=True)


def processes(flags: argparse.Namespace, folder: Path) -> None:
    pages = web_pages.generated(web_pages.real_pages(flags.wet, only_english=False))
    paths = web_pages.write_wets(folder / "wet", pages, text_bytes=int(flags.megabytes * 1e6), bytes_a_file=2 << 20)
    config = {"recipe": "ccnet", "sources": {"common_crawl": DEDUP_ONLY if flags.only_dedup else {}}}
    seconds = []
    for number in (1, 2):
        used = run_pipeline(config, paths, folder / f"out{number}", flags.models, number)
        seconds.append(used.seconds)
        _report(f"{number} processes", used)
    print(f"two processes: {seconds[0] / seconds[1]:.2f} times one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for run, megabytes in ((speed, 40), (memory, 1000), (processes, 400)):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("wet", nargs="+")
        command.add_argument("--megabytes", type=float, default=megabytes)
        command.add_argument("--models", required=run is speed)
        command.add_argument("--cc_net", default=os.environ.get("CC_NET_REPO"), required=False)
        command.add_argument("--only_english", action="store_true")
        command.add_argument("--only_dedup", action="store_true")
        if run is speed:
            command.add_argument("--repeat", type=int, default=3, help="tries of each side, the fewest seconds count")
            command.add_argument("--only_reading", action="store_true")
    flags = parser.parse_args()
    if flags.run is speed and not flags.cc_net:
        parser.exit(
            message="skipped: --cc_net CHECKOUT (or CC_NET_REPO) names no checkout of facebookresearch/cc_net\n"
        )
    with tempfile.TemporaryDirectory() as folder:
        flags.run(flags, Path(folder))


if __name__ == "__main__":
    main()
