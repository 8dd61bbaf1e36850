"""Runs a peer's chain from WET files to token files. ``end_to_end.py`` calls it in the peer's environment.

    PYTHON benchmarks/end_to_end_peer.py {datatrove,dolma} WETS LID TOKENIZER_JSON OUT

Prints one line of JSON: the documents that were kept, and their tokens. Imports nothing of this project.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def datatrove(wets: str, lid_path: str, tokenizer: str, out: Path) -> dict[str, int]:
    """Runs datatrove's chain with its defaults: language, C4's rules, MinHash in four stages, tokens."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.filters import C4QualityFilter, LanguageFilter
    from datatrove.pipeline.readers import JsonlReader, WarcReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils import lid
    from datatrove.utils.hashing import HashConfig
    from fasttext.FastText import _FastText

    model = _FastText(lid_path)
    lid.FastTextLID.model = property(lambda _: model)  # the model at hand, because datatrove would download one
    minhash = MinhashConfig(hash_config=HashConfig(precision=64))

    def stage(name: str, steps: list[object], tasks: int = 1) -> None:
        log = str(out / "log" / name)
        LocalPipelineExecutor(pipeline=steps, logging_dir=log, tasks=tasks, workers=1, skip_completed=False).run()

    docs, clean = str(out / "docs"), str(out / "clean")
    stage("filter", [WarcReader(wets, glob_pattern="*.gz"), LanguageFilter(languages=["en"], language_threshold=0.65),
                     C4QualityFilter(), JsonlWriter(docs)])  # fmt: skip
    stage("signatures", [JsonlReader(docs), MinhashDedupSignature(str(out / "signatures"), config=minhash)])
    stage("buckets", [MinhashDedupBuckets(str(out / "signatures"), str(out / "buckets"), config=minhash)],
          tasks=minhash.num_buckets)  # fmt: skip
    stage("cluster", [MinhashDedupCluster(str(out / "buckets"), str(out / "remove"), config=minhash)])
    stage("dedup", [JsonlReader(docs), MinhashDedupFilter(str(out / "remove")), JsonlWriter(clean)])
    tokens = DocumentTokenizer(
        str(out / "tokens"), tokenizer_name_or_path=tokenizer, eos_token="</s>", shuffle_documents=True, seed=1
    )
    stage("tokens", [JsonlReader(clean), tokens])
    num_tokens = sum(path.stat().st_size for path in (out / "tokens").rglob("*.ds")) // 2
    return {"kept": _num_lines(Path(clean).rglob("*.gz")), "tokens": num_tokens}


def dolma(wets: str, lid_path: str, tokenizer: str, out: Path) -> dict[str, int]:
    """Runs dolma's four commands: tag (C4's rules, and its own English tagger), dedupe (paragraphs), mix, tokens."""
    from warcio.archiveiterator import ArchiveIterator

    for name in ("documents", "in", "out"):
        (out / name).mkdir(parents=True)
    with gzip.open(out / "documents" / "pages.jsonl.gz", "wt", compresslevel=1) as sink:
        for path in sorted(Path(wets).glob("*.wet.gz")):
            with path.open("rb") as file:
                for record in ArchiveIterator(file):
                    if record.rec_type == "conversion":
                        text = record.content_stream().read().decode("utf-8", "replace")
                        row = {"id": record.rec_headers.get_header("WARC-Record-ID"), "source": "wet", "text": text}
                        sink.write(json.dumps(row, ensure_ascii=False) + "\n")
    documents, work = str(out / "documents" / "*.gz"), {"input": str(out / "in"), "output": str(out / "out")}
    (out / "english.py").write_text(_ENGLISH.format(lid_path=lid_path))
    rules = ("has_curly_brace", "has_lorem_ipsum", "has_javascript", "has_naughty_word")
    below = "$.attributes[?(@.all__english__en && @.all__english__en[0] && @.all__english__en[0][2] < 0.5)]"
    above = "$.attributes[?(@.all__c4_v2__{0} && @.all__c4_v2__{0}[0] && @.all__c4_v2__{0}[0][2] > 0.5)]"
    lines = ("lines_with_no_ending_punctuation", "lines_with_too_few_words")
    spans = [*(f"$.attributes.all__c4_v2__{name}" for name in lines), "$.attributes.dup_par"]
    steps = {
        "tag": {"documents": [documents], "taggers": ["english", "c4_v2"], "tagger_modules": [str(out / "english.py")],
                "experiment": "all"},
        "dedupe": {"documents": [documents],
                   "dedupe": {"name": "dup_par", "paragraphs": {"attribute_name": "dup_par"}, "skip_empty": True},
                   "bloom_filter": {"file": str(out / "bloom.bin"), "read_only": False,
                                    "estimated_doc_count": 1_000_000, "desired_false_positive_rate": 1e-6}},
        "mix": {"streams": [{"name": "pages", "documents": [documents], "attributes": ["all", "dup_par"],
                             "output": {"path": str(out / "mixed"), "max_size_in_bytes": 1_000_000_000},
                             "filter": {"exclude": [below, *(above.format(rule) for rule in rules)], "include": []},
                             "span_replacement": [{"span": s, "min_score": 0.5, "replacement": ""} for s in spans]}]},
        "tokens": {"documents": [str(out / "mixed" / "*.gz")], "destination": str(out / "tokens"), "dtype": "uint16",
                   "tokenizer": {"name_or_path": str(out / "tokenizer.json"), "bos_token_id": 1, "eos_token_id": 2}},
    }  # fmt: skip
    old_form = json.loads(Path(tokenizer).read_text())  # dolma's version of tokenizers wants "a b", not ["a", "b"]
    old_form["model"]["merges"] = [m if isinstance(m, str) else " ".join(m) for m in old_form["model"]["merges"]]
    (out / "tokenizer.json").write_text(json.dumps(old_form))
    program = str(Path(sys.executable).parent / "dolma")
    for name, settings in steps.items():
        config = out / f"{name}.yaml"
        config.write_text(json.dumps({**settings, "processes": 1, "work_dir": work}))  # JSON is YAML
        environment = {**os.environ, "PYTHONPATH": str(out)}
        done = subprocess.run(
            [program, "-c", str(config), name], capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            sys.exit(f"dolma {name}: {(done.stderr or done.stdout)[-600:]}")
    num_tokens = 0
    for path in (out / "tokens").rglob("*.csv.gz"):
        with gzip.open(path, "rt") as file:
            num_tokens += sum(int(row[1]) - int(row[0]) for row in csv.reader(file))
    return {"kept": _num_lines((out / "mixed").glob("*.gz")), "tokens": num_tokens}


_ENGLISH = """
from dolma.core.data_types import DocResult, Document, Span
from dolma.core.registry import TaggerRegistry
from dolma.core.taggers import BaseTagger
from fasttext.FastText import _FastText


@TaggerRegistry.add("english")
class English(BaseTagger):
    model = None

    def predict(self, doc: Document) -> DocResult:
        if English.model is None:
            English.model = _FastText({lid_path!r})
        labels, scores = English.model.predict(doc.text.replace("\\n", " ").strip(), k=1)
        score = float(scores[0]) if labels and labels[0] == "__label__en" else 0.0
        return DocResult(doc=doc, spans=[Span(start=0, end=len(doc.text), type="en", score=score)])
"""
"""The tagger of English with the model at hand, because dolma's own tagger downloads one."""


def _num_lines(paths: Iterator[Path]) -> int:
    count = 0
    for path in paths:
        with gzip.open(path) as file:
            count += sum(1 for _ in file)
    return count


def main() -> None:
    """Runs the chain that the first argument names."""
    name, wets, lid_path, tokenizer, folder = sys.argv[1:]
    out = Path(folder)
    shutil.rmtree(out, ignore_errors=True)
    run = {"datatrove": datatrove, "dolma": dolma}[name]
    print(json.dumps(run(wets, lid_path, tokenizer, out)))


if __name__ == "__main__":
    main()
