"""Trains the classifier of references, and measures its accuracy. The classifier distinguishes random pages from pages
that resemble the pages that Wikipedia cites.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fasttext

from filters.reference import RANDOM_LABEL, REFERENCE_LABEL, ReferenceModel, classifier_text
from filters.urls import site_of
from pipeline.models.model_files import check_model_file
from pipeline.models.scratch import TrainingFailed, scratch_folder
from pipeline.models.trained import MIN_POSITIVES, record_training
from pipeline.models.training_texts import Text, num_bytes_of
from tokenizer.progress import QUIET, Progress

MIN_POSITIVE_CHARS = 1000
"""A positive (a page that Wikipedia cites) must have at least this many characters. The value is from RedPajama v1
(data_prep/cc/classifier/create_corpus.py).
"""
HELD_OUT_PERCENT = 10
_MIN_HOSTS = 50
"""The number of hosts that messages recommend. With 50 hosts, none is held back in 1 of 200 cases (0.9 ** 50)."""
_LABEL_PREFIX, _END_OF_LINE = "__label__", "</s>"
THRESHOLDS = (0.25, 0.5)
"""The thresholds of the score at which precision and recall are measured. 0.25 is RedPajama's threshold. 0.5 is LLaMA's
("classified as references").
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Holds the results of a classifier at one threshold. They are measured on the held-back pages, which were not used
    for training."""

    threshold: float
    num_positives: int
    num_found: int
    num_false: int

    @property
    def precision(self) -> float | None:
        """The share of cited pages among the pages that the classifier accepts; None if it accepts none."""
        through = self.num_found + self.num_false
        return self.num_found / through if through else None

    @property
    def recall(self) -> float | None:
        """The share of the cited pages that the classifier accepts; None if there are no cited pages."""
        return self.num_found / self.num_positives if self.num_positives else None


@dataclass(frozen=True, slots=True)
class TrainedReference:
    """Holds a trained classifier and its measured results."""

    path: Path
    num_train: dict[str, int]
    num_held_out: dict[str, int]
    figures: tuple[Figures, ...]

    @property
    def is_meaningful(self) -> bool:
        """True if there were enough positive (cited) pages for the measured precision and recall to be reliable."""
        return self.num_train[REFERENCE_LABEL] + self.num_held_out[REFERENCE_LABEL] >= MIN_POSITIVES


def train_reference(
    positives: Iterable[Text], negatives: Iterable[Text], folder: Path, *, num_threads: int = 1, seed: int = 0,
    progress: Progress = QUIET,
) -> TrainedReference:  # fmt: skip
    """Trains ``reference.bin`` with fastText's defaults, as RedPajama did. Records the number of training pages.

    The pages of a tenth of the hosts are held back: they are not used for training, and the classifier is measured on
    them. Pages of one host look alike. So all pages of a host are on the same side. Otherwise a classifier that only
    recognises hosts would get good results. A page without a url counts as a host of its own. If several pages are
    equal, only one of them is used.

    Raises:
        ValueError: a class has no pages to train on, or no held-back pages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    num_train = dict.fromkeys((REFERENCE_LABEL, RANDOM_LABEL), 0)
    held_out: list[tuple[str, str]] = []
    hosts: dict[str, set[bytes]] = {label: set() for label in num_train}
    with scratch_folder(folder, ".train-reference") as scratch:
        corpus = scratch / "corpus.txt"
        with open(corpus, "w", encoding="utf-8") as sink:
            cited, others = (progress.reading(texts, num_bytes_of) for texts in (positives, negatives))
            for label, text, is_held_out, host in _labelled(cited, others, seed):
                hosts[label].add(host)
                if is_held_out:
                    held_out.append((label, text))
                else:
                    sink.write(f"{label} {text}\n")
                    num_train[label] += 1
        num_held_out = {label: sum(1 for found, _ in held_out if found == label) for label in num_train}
        _check_sides(num_train, num_held_out, hosts)
        num_bytes = corpus.stat().st_size
        with progress.working(f"training the classifier on {num_bytes / 1e6:,.1f} MB"):
            model = fasttext.train_supervised(input=str(corpus), thread=num_threads, seed=seed, verbose=0)
        made = scratch / "reference.bin"
        try:
            model.save_model(str(made))
            check_model_file(str(made))  # fastText does not report a full disk
        except (ValueError, RuntimeError) as error:
            raise TrainingFailed(f"train-reference: {made} could not be written whole ({error}); free some space, or "
                                 "name a folder on another disk") from error  # fmt: skip
        os.replace(made, folder / "reference.bin")
    about = {"positives": num_train[REFERENCE_LABEL], "negatives": num_train[RANDOM_LABEL], "text_bytes": num_bytes}
    record_training(folder, {"reference.bin": about})
    with progress.working("measuring it on the pages that were held back"):
        scored = [(label, ReferenceModel(model).score(text)) for label, text in held_out]
    figures = tuple(_figures(scored, threshold) for threshold in THRESHOLDS)
    return TrainedReference(folder / "reference.bin", num_train, num_held_out, figures)


def _check_sides(num_train: dict[str, int], num_held_out: dict[str, int], hosts: dict[str, set[bytes]]) -> None:
    """Checks that each label has pages to train on, and pages that are held back."""
    for label, found in hosts.items():
        name, num_pages = label.removeprefix(_LABEL_PREFIX), num_train[label] + num_held_out[label]
        if not num_pages:
            chars = f" of at least {MIN_POSITIVE_CHARS:,} characters" if label == REFERENCE_LABEL else ""
            raise ValueError(f"train-reference: no pages to train on of the label {name}: give pages{chars}")
        if not num_train[label] or not num_held_out[label]:
            what = "held back to measure by" if num_train[label] else "to train on"
            raise ValueError(
                f"train-reference: no pages {what} of the label {name}: its {num_pages:,} pages are of {len(found):,} "
                "hosts, and the pages of one host in ten are held back; give pages of more hosts, at least "
                f"{_MIN_HOSTS}"
            )


def _labelled(
    positives: Iterable[Text], negatives: Iterable[Text], seed: int
) -> Iterator[tuple[str, str, bool, bytes]]:
    """Yields (label, text, True if the page is held back, hash of the host) of each page."""
    seen: set[bytes] = set()
    for label, texts, min_chars in ((REFERENCE_LABEL, positives, MIN_POSITIVE_CHARS), (RANDOM_LABEL, negatives, 0)):
        for text in texts:
            if len(text.text) < min_chars:
                continue
            line = " ".join(word for word in classifier_text(text.text).split() if not _is_mark(word))
            digest = hashlib.sha256(line.encode("utf-8")).digest()
            if not line or digest in seen:  # a page that is in both classes is used as a cited page
                continue
            seen.add(digest)
            key = site_of(text.url) or line
            place = hashlib.sha256(f"held-out {seed} {key}".encode()).digest()
            yield label, line, int.from_bytes(place[:8], "big") % 100 < HELD_OUT_PERCENT, place[:8]


def _is_mark(word: str) -> bool:
    """True if fastText would read a word as a label or as the end of the line. Such words are removed from the text."""
    return word.startswith(_LABEL_PREFIX) or word == _END_OF_LINE


def _figures(scored: list[tuple[str, float]], threshold: float) -> Figures:
    through = [label for label, score in scored if score >= threshold]
    return Figures(
        threshold=threshold,
        num_positives=sum(1 for label, _ in scored if label == REFERENCE_LABEL),
        num_found=through.count(REFERENCE_LABEL),
        num_false=through.count(RANDOM_LABEL),
    )
