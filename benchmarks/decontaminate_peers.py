"""Runs two other programs that search for evaluation items: AI2's decon, and dolma's dedupe with a Bloom filter.

Both get the documents and items of ``decontaminate.py``, and run with one thread or process.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filters.decontaminate.items import Item

NGRAM_FLAGS = (
    "--dedupe.paragraphs.by_ngram.ngram_length", "8", "--dedupe.paragraphs.by_ngram.stride", "1",
    "--dedupe.paragraphs.by_ngram.overlap_threshold", "0.8",
)  # fmt: skip
"""Flags for a second comparison with dolma: a paragraph is flagged if 80 % of its runs of 8 words are in the filter.
Without these flags, a paragraph is flagged if the filter contains it as a whole.
"""


def run_decon(program: str, items: Sequence[tuple[str, Item]], texts: Sequence[str]) -> tuple[list[set[str]], float]:
    """Runs AI2's program decon on the texts, with one thread. Returns the numbers of the items that it found in each
    text, and its detection time in seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("train", "evals"):
            (Path(folder) / name).mkdir()
        (Path(folder) / "train/a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        with gzip.open(Path(folder) / "evals/set_test-1.jsonl.gz", "wt") as file:
            for number, (_, item) in enumerate(items):
                row = {"eval_key": "set", "eval_instance_index": number, "split": "test", "question": item.question,
                       "answer": item.answer, "passage": item.passage, "config": "main", "doc_id": number,
                       "fingerprint": str(number)}  # fmt: skip
                file.write(json.dumps({key: value for key, value in row.items() if value != ""}) + "\n")
        command = [program, "detect", "--training-dir", f"{folder}/train", "--evals-dir", f"{folder}/evals",
                   "--report-output-dir", f"{folder}/report", "--worker-threads", "1"]  # fmt: skip
        environment = os.environ | {"RAYON_NUM_THREADS": "1"}
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        found = [set[str]() for _ in texts]
        for path in Path(folder).glob("report/*.jsonl"):
            for line in path.read_text().splitlines():
                row = json.loads(line)
                found[row["training_line"]].add(str(row["fingerprint"]))
    time_said = re.search(r"Detection time\s+([\d.,]+)s", said)
    assert time_said is not None, said
    return found, float(time_said[1].replace(",", ""))


def run_dolma(
    program: str, items: Sequence[tuple[str, Item]], texts: Sequence[str], *flags: str
) -> tuple[list[bool], float]:
    """Runs dolma's dedupe: first over the questions, which fills a Bloom filter, then over the texts. Returns one
    boolean per text (True if it has a flagged paragraph), and the CPU seconds of the second run.

    dolma does not say which item it found. So a text counts as found if any of its paragraphs is flagged.
    """
    with tempfile.TemporaryDirectory() as folder:
        questions = [item.question for _, item in items]
        for name, rows in (("evals", questions), ("train", texts)):
            (Path(folder) / name / "documents").mkdir(parents=True)
            with gzip.open(Path(folder) / name / "documents/a.jsonl.gz", "wt", compresslevel=1) as file:
                for number, text in enumerate(rows):
                    file.write(json.dumps({"id": str(number), "text": text, "source": name}) + "\n")
        seconds = 0.0
        for name, is_read_only in (("evals", False), ("train", True)):
            command = [
                program, "dedupe", "--documents", f"{folder}/{name}/documents/*", "--dedupe.name", "found",
                "--dedupe.paragraphs.attribute_name", "found", "--dedupe.skip_empty", *flags,
                "--bloom_filter.file", f"{folder}/filter.bin",
                "--bloom_filter.read_only" if is_read_only else "--no-bloom_filter.read_only",
                "--bloom_filter.estimated_doc_count", str(100 * len(questions)),
                "--bloom_filter.desired_false_positive_rate", "1e-9", "--processes", "1",
            ]  # fmt: skip
            begun = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, capture_output=True, check=True)
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
        with gzip.open(f"{folder}/train/attributes/found/a.jsonl.gz", "rt") as file:
            rows = {row["id"]: row["attributes"]["found"] for row in map(json.loads, file)}
    return [any(span[2] for span in rows.get(str(number), ())) for number in range(len(texts))], seconds
