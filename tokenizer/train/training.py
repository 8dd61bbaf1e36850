"""Trains a tokenizer: SentencePiece's byte-pair encoding with the settings of LLaMA's released model.

Touvron et al. 2023 (arXiv:2302.13971), section 2.1, describe four settings: byte-pair encoding, SentencePiece's
implementation, all numbers split into single digits, and bytes as a fallback for unknown UTF-8 characters. The other
settings were read from the trainer specification that the released model contains.

Equal texts and settings give a model with equal bytes, in any folder and with any number of threads.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tokenizer import model_file as model_proto
from tokenizer.did_you_mean import did_you_mean
from tokenizer.numbers import whole_number
from tokenizer.progress import QUIET, Progress
from tokenizer.train.sample import Sample, bounded_sample, lines

_PATHS_AND_THREADS = frozenset({1, 2, 16})
"""The numbers of the fields ``input``, ``model_prefix`` and ``num_threads`` of ``TrainerSpec``, which do not affect the
result."""
_TRAINER_SPEC = 2
_TOO_HIGH = re.compile(r"Vocabulary size too high \(\d+\)\. Please set it to a value <= (\d+)")
_TOO_LOW = re.compile(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Holds the settings of the training. The defaults are those of LLaMA's model."""

    vocab_size: int = 32_000
    character_coverage: float = 0.99995
    """Share of the sample's characters that get a piece. The other characters are encoded as bytes."""
    max_sentencepiece_length: int = 16
    """Length of the longest piece, in characters."""
    max_line_bytes: int = 4_192
    """Longest line, in bytes. Longer lines are split, because the trainer would silently skip them. The value is
    LLaMA's ``max_sentence_length``."""
    max_sample_bytes: int = 200_000_000
    """Largest size of the sample's text, in bytes (our choice). The trainer needs about 10 bytes of memory per byte of
    text (we measured 0.5 GB for 55 MB), and the sample itself needs 2 bytes per byte of text. So training on 200 MB of
    text needs about 2.4 GB."""
    lower_vocab_size: bool = False
    """True to make a smaller vocabulary, instead of raising an error, if the sample is too small for ``vocab_size``."""
    num_threads: int = 1
    """The number of threads. It affects the time, but never the result."""
    pad: bool = False
    """True to give ``<pad>`` the id 3. LLaMA's model has no pad token."""
    reserve: int = 0
    """The number of control tokens ``<reserved_0>``, ``<reserved_1>`` and so on. A later training can use their ids."""
    user_defined_symbols: tuple[str, ...] = ()
    """Texts that are always encoded as one piece each (SentencePiece's ``user_defined_symbols``)."""
    add_dummy_prefix: bool = True
    """True to put a space before every text, as LLaMA does. A model with user-defined symbols can be converted exactly
    to a ``tokenizer.json`` only if this is False."""

    def __post_init__(self) -> None:
        taken = 259 + self.pad + self.reserve + len(self.user_defined_symbols)
        if self.vocab_size <= taken:
            other = "" if taken == 259 else f", and pad, reserve and user_defined_symbols {taken - 259}"
            raise ValueError(
                f"vocab_size {self.vocab_size} is too small: <unk>, <s>, </s> and 256 bytes take 259{other}"
            )
        if self.reserve < 0:
            raise ValueError(f"reserve {self.reserve} is not a number of ids")
        symbols = self.user_defined_symbols
        wrong = next(
            (s for s in symbols if not isinstance(s, str) or len(s) < 2 or re.search(r"[\s,\u2581\0]", s)), None
        )
        if wrong is not None or len(set(symbols)) < len(symbols):
            what = f"{wrong!r} is none" if wrong is not None else "one is named twice"
            raise ValueError(
                f"user_defined_symbols: {what}; a symbol is a text of two characters or more without spaces, commas "
                "and U+2581"
            )
        if not 0.98 <= self.character_coverage <= 1:
            raise ValueError(f"character_coverage {self.character_coverage} is not between 0.98 and 1")
        for name in ("max_sentencepiece_length", "max_line_bytes", "max_sample_bytes", "num_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is not a positive number")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> TrainSettings:
        """Makes settings from the ``tokenizer`` section of a recipe. Raises ValueError for an unknown name.

        >>> TrainSettings.of({"vocab_size": 2000}).vocab_size
        2000
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            hint = did_you_mean(unknown[0], known)
            raise ValueError(f"tokenizer holds {', '.join(unknown)}, which is not among {', '.join(known)}{hint}")
        for field in fields(cls):
            value, wanted = settings.get(field.name), type(field.default)
            if wanted is int and isinstance(value, str) and (number := whole_number(value)) is not None:
                settings = {**settings, field.name: number}
            elif wanted is tuple and isinstance(value, list | tuple):
                settings = {**settings, field.name: tuple(value)}
            elif field.name in settings and not (type(value) is wanted or (wanted is float and type(value) is int)):
                raise ValueError(f"tokenizer.{field.name} is {value!r}, which is not of type {wanted.__name__}")
        return cls(**settings)

    def said(self) -> dict[str, Any]:
        """Returns the settings that affect the model.

        Some settings, such as ``pad``, are left out if they have their default value.

        >>> "pad" in TrainSettings().said(), TrainSettings(pad=True).said()["pad"]
        (False, True)
        """
        found = asdict(self)
        del found["num_threads"]
        default = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in found.items() if name not in _EXTRA or value != default[name]}


_EXTRA = frozenset({"pad", "reserve", "user_defined_symbols", "add_dummy_prefix"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedTokenizer:
    """Holds a trained tokenizer, and describes its settings and its sample."""

    model: bytes
    sha256: str
    vocab_size: int
    settings: TrainSettings
    sample_texts: int
    sample_bytes: int
    source_bytes: Mapping[str, int]

    def about(self) -> dict[str, Any]:
        """Returns the description of the tokenizer, which is written to ``PREFIX.json``."""
        import sentencepiece

        return {
            "sha256": self.sha256,
            "vocab_size": self.vocab_size,
            "settings": self.settings.said(),
            "sample": {"texts": self.sample_texts, "bytes": self.sample_bytes, "source_bytes": dict(self.source_bytes)},
            "software": {"sentencepiece": sentencepiece.__version__},
        }


def train(
    texts: Iterable[str] | Sample, output_prefix: str | Path | None, settings: TrainSettings, *,
    progress: Progress = QUIET,
) -> TrainedTokenizer:  # fmt: skip
    """Trains a tokenizer on texts, or on a sample that was drawn before.

    Writes ``PREFIX.model`` and ``PREFIX.json`` (settings and sample). PREFIX is ``output_prefix``. If the model can be
    converted exactly, also writes ``PREFIX.tokenizer.json`` for Hugging Face's libraries. If ``output_prefix`` is None,
    writes no file.

    If ``texts`` is not a sample and has more than ``max_sample_bytes`` bytes, a sample of this size is drawn. The
    hashes of the texts decide which texts are in the sample, so the order of the texts does not matter. At most twice
    ``max_sample_bytes`` of text is in memory.

    Raises:
        ValueError: there is no text, or too little text for the vocabulary. The message names the largest possible
            vocabulary.
    """
    sample = texts if isinstance(texts, Sample) else bounded_sample(texts, max_bytes=settings.max_sample_bytes)
    if not sample.texts:
        raise ValueError("there is no text to train a tokenizer on")
    with progress.working(f"training up to {settings.vocab_size:,} pieces on {sample.text_bytes / 1e6:,.1f} MB"):
        model = _without_traces(_trained(sample, settings))
    trained = TrainedTokenizer(
        model=model,
        sha256=hashlib.sha256(model).hexdigest(),
        vocab_size=len(model_proto.parse(model).pieces),
        settings=settings,
        sample_texts=len(sample.texts),
        sample_bytes=sample.text_bytes,
        source_bytes=sample.source_bytes,
    )
    if output_prefix is not None:
        from tokenizer.hugging_face import tokenizer_json  # imports NumPy and pyarrow

        _write(Path(f"{output_prefix}.model"), model)
        _write(Path(f"{output_prefix}.json"), (json.dumps(trained.about(), indent=1) + "\n").encode())
        if (for_hugging_face := tokenizer_json(model)) is not None:
            _write(Path(f"{output_prefix}.tokenizer.json"), for_hugging_face.encode())
    return trained


def _trained(sample: Sample, settings: TrainSettings) -> bytes:
    sentences = sorted(line for text in sample.texts for line in lines(text, max_line_bytes=settings.max_line_bytes))
    if not sentences:
        raise ValueError("there is no text to train a tokenizer on: every line is empty")
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_emptying(sentences), model_writer=model, **_spec(settings)
        )
    except RuntimeError as error:
        raise ValueError(_explained(str(error), sample, settings)) from error
    return model.getvalue()


def _spec(settings: TrainSettings) -> dict[str, Any]:
    """Returns the arguments for SentencePiece's trainer. Arguments that ``settings`` does not contain get the values of
    LLaMA's model.
    """
    return {
        "model_type": "bpe",
        "vocab_size": settings.vocab_size,
        "hard_vocab_limit": not settings.lower_vocab_size,
        "character_coverage": settings.character_coverage,
        "max_sentencepiece_length": settings.max_sentencepiece_length,
        "max_sentence_length": settings.max_line_bytes,
        "num_threads": settings.num_threads,
        "input_sentence_size": 0,  # no limit, because the sample is already drawn
        "shuffle_input_sentence": False,
        "byte_fallback": True,
        "split_digits": True,
        "split_by_unicode_script": True,
        "split_by_whitespace": True,
        "split_by_number": True,
        "allow_whitespace_only_pieces": True,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": settings.add_dummy_prefix,
        "remove_extra_whitespaces": False,
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "pad_id": 3 if settings.pad else -1,
        "minloglevel": 2,
        **({"control_symbols": [f"<reserved_{i}>" for i in range(settings.reserve)]} if settings.reserve else {}),
        **({"user_defined_symbols": list(settings.user_defined_symbols)} if settings.user_defined_symbols else {}),
    }


def _emptying(sentences: list[str]) -> Iterator[str]:
    """Yields the lines. Each line is removed from the list to free its memory, because the trainer keeps a copy."""
    sentences.reverse()
    while sentences:
        yield sentences.pop()


def _explained(message: str, sample: Sample, settings: TrainSettings) -> str:
    """Converts the trainer's error into a message for the user."""
    if found := _TOO_HIGH.search(message):
        return (
            f"{sample.text_bytes:,} bytes of text are too little for a vocabulary of {settings.vocab_size:,} pieces: "
            f"at most {int(found[1]):,} are possible; give more text, a smaller vocab_size, or set lower_vocab_size"
        )
    if found := _TOO_LOW.search(message):
        return (
            f"a vocabulary of {settings.vocab_size:,} pieces is too small for the text's characters: "
            f"at least {int(found[1]):,} are needed at a character_coverage of {settings.character_coverage}"
        )
    return f"SentencePiece could not train on this text: {message}"


def _without_traces(model: bytes) -> bytes:
    """Returns the model without the paths and thread counts that the trainer writes into it."""
    parts = []
    for number, wire, value in model_proto.fields(model):
        if number == _TRAINER_SPEC and isinstance(value, bytes):
            value = model_proto.drop_fields(value, _PATHS_AND_THREADS)
        parts.append(model_proto.encode_field(number, wire, value))
    return b"".join(parts)


def _write(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name, and then renames it. So an incomplete file never has the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
