"""Lists the documents and sources that a loader yields at one step, and says how to skip the step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mixtures.inspect.documents import printable
from mixtures.loader import Loader, LoaderSettings
from mixtures.stages import Stream


def lines_of_step(stream: Stream, settings: LoaderSettings, step: int) -> Iterator[str]:
    """Yields lines about the sequences and documents of a step, and each source's share of the step's tokens.

    Args:
        settings: the training's settings, but with ``batch_size`` multiplied by the number of ranks.
        step: the number of the step, counted from 0 at the beginning of the training.

    Raises:
        ValueError: the training has no such step.
    """
    skipped = None
    tokens: Counter[str] = Counter()
    for one in values_of_step(stream, settings, step):
        if skipped is None:
            skipped = one["skip_sequences"]
            size = settings.batch_size
            yield (
                f"step {step:,}: {size:,} sequences of {settings.seq_len:,} tokens, seed {settings.seed}; "
                f"skip_sequences=[({skipped[0]}, {skipped[1]})] leaves it out"
            )
        yield f"sequence {one['sequence']}"
        for document in one["documents"]:
            tokens[document["source"]] += document["tokens"]
            end = document["begin"] + document["tokens"]
            yield printable(
                f"  at {document['at']}: {document['source']}  {document['id']}  epoch {document['epoch']}  its tokens "
                f"{document['begin']:,} to {end:,}  ({document['file']} row {document['row']})"
            )
    total = max(1, sum(tokens.values()))
    yield "shares: " + ", ".join(f"{source} {100 * n / total:.2f} %" for source, n in tokens.most_common())


def values_of_step(stream: Stream, settings: LoaderSettings, step: int) -> Iterator[dict[str, Any]]:
    """Yields a dict for JSON for each sequence of a step. The arguments are those of `lines_of_step`.

    Raises:
        ValueError: the training has no such step.
    """
    loader = Loader(stream, settings)
    size = settings.batch_size
    if step < 0 or (settings.epochs is not None and step >= loader.steps_left()):
        raise ValueError(f"step {step} is not among the steps of this training, which are counted from 0")
    for number in loader.sequences_of_step(step).tolist():
        yield {
            "step": step,
            "skip_sequences": [step * size, (step + 1) * size],
            "sequence": number,
            "documents": [
                {"at": one.at, "source": one.source, "id": one.doc_id, "epoch": one.epoch, "begin": one.begin,
                 "tokens": one.num_tokens, "file": str(one.shard), "row": one.row}
                for one in loader.documents(number)
            ],
        }  # fmt: skip
