"""Makes the remarks about the run's models and its tokenizer, for example if one was trained on too little text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.models.load import ModelPath
from pipeline.models.trained import UNKNOWN, described, doubts
from pipeline.report.charts import short_bytes
from pipeline.report.collect import Collected
from pipeline.report.output_state import RunState, SourceState
from pipeline.report.remark import LOOK, Remark, listed
from pipeline.report.run_models import TINY_BYTES, num_bytes_of, used_models
from tokenizer.numbers import counted

MIN_TOKENIZER_BYTES = 10_000_000
"""A tokenizer that was trained on less text is reported. Our choice, as for a language model
(:data:`pipeline.models.trained.MIN_LM_BYTES`): a vocabulary of 32,000 pieces of about 4 bytes then has less than 80
occurrences per piece on average, and its rarer half only a few, so chance decides which pieces it has."""
_FEWEST_BYTES_PER_TOKEN = 1.3
"""A language with fewer bytes of text per token is reported. Our choice: a tokenizer that knows no piece of a language
writes one token per byte, and one that knows single letters of the Latin alphabet hardly more."""
_LEAST_TOKENS = 1_000
"""The smallest number of a language's tokens for which a remark is made."""


def of_models(state: RunState, models: Mapping[str, ModelPath]) -> Iterator[Remark]:
    """Yields a remark for each model that was trained on little or on an unknown amount of text."""
    for key, used in used_models(state).items():
        if key not in ("perplexity", "reference"):
            continue
        name, files = str(used.get("name", key)), used.get("files", ())
        unknown = [file for file in files if described(file) == UNKNOWN]
        size = num_bytes_of(models[key]) if key in models else sum(file["bytes"] for file in files)
        if found := doubts(files):
            why = "; ".join(found)
            yield Remark(LOOK, f"The model of {key} is tiny: {why}. Its limits say little about other text.", "ran")
        elif (unknown or not files) and 0 < size < TINY_BYTES:
            yield Remark(LOOK, f"The model of {key} is tiny ({name}, {short_bytes(size)}): its limits say little about "
                         "other text.", "ran")  # fmt: skip
        elif unknown:
            names = listed([str(file["name"]) for file in unknown])
            yield Remark(LOOK, f"It is unknown how much text the model of {key} was trained on: nothing beside {names} "
                         "says so.", "ran")  # fmt: skip


def of_tokenizer(state: RunState, collected: Sequence[tuple[SourceState, Collected]]) -> Iterator[Remark]:
    """Yields remarks about a tokenizer that has fewer pieces (vocabulary entries) than the recipe asks for, that was
    trained on little text, or that splits the text of a language nearly into bytes.
    """
    tokenizer = (state.manifest or {}).get("tokenizer", {})
    wanted = (state.recipe.tokenizer or {}).get("vocab_size") if state.recipe else None
    pieces = tokenizer.get("vocab_size")
    if isinstance(wanted, int) and isinstance(pieces, int) and pieces < wanted:
        yield Remark(LOOK, f"The tokenizer has {pieces:,} pieces, not {wanted:,}: its text was too small.", "ran")
    sample = sample_of(state.manifest or {})
    if sample and sample["bytes"] < MIN_TOKENIZER_BYTES:
        yield Remark(LOOK, f"The tokenizer was trained on {trained_on(sample)}, less than "
                     f"{MIN_TOKENIZER_BYTES / 1e6:.0f} MB. Its pieces fit other text badly; a larger run, or "
                     "--tokenizer, gives a better one.", "ran")  # fmt: skip
    for number, (source, found) in enumerate(collected):
        rates = {name: found.tokenized_bytes[name] / tokens for name, tokens in found.language_tokens.items()
                 if tokens >= _LEAST_TOKENS}  # fmt: skip
        low = {name: rate for name, rate in rates.items() if rate < _FEWEST_BYTES_PER_TOKEN}
        if low:
            names = listed([f"{name} {rate:.2f}" for name, rate in sorted(low.items(), key=lambda one: one[1])])
            yield Remark(LOOK, f"The tokenizer writes some text of {source.name} nearly byte by byte (bytes per token, "
                         f"by language: {names}).", f"source-{number}")  # fmt: skip


def sample_of(manifest: Mapping[str, Any]) -> Mapping[str, int] | None:
    """Returns the number of ``texts`` and ``bytes`` on which the run's tokenizer was trained. Returns None if this is
    not known, for example because the user gave the tokenizer.
    """
    sample = manifest.get("tokenizer", {}).get("trained")
    if not isinstance(sample, dict) or not all(type(sample.get(key)) is int for key in ("texts", "bytes")):
        return None
    return sample


def trained_on(sample: Mapping[str, int]) -> str:
    """Returns a few words about the sample on which a tokenizer was trained.

    >>> trained_on({"texts": 250, "bytes": 1_062_373})
    '250 texts, 1.1 MB of text'
    """
    return f"{counted(sample['texts'], 'text')}, {short_bytes(sample['bytes'])} of text"
