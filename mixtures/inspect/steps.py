"""Lists the documents and sources that a loader yields at one step, and says how to skip the step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

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
    loader = Loader(stream, settings)
    size = settings.batch_size
    if step < 0 or (settings.epochs is not None and step >= loader.steps_left()):
        raise ValueError(f"step {step} is not among the steps of this training, which are counted from 0")
    yield (
        f"step {step:,}: {size:,} sequences of {settings.seq_len:,} tokens, seed {settings.seed}; "
        f"skip_sequences=[({step * size}, {(step + 1) * size})] leaves it out"
    )
    tokens: Counter[str] = Counter()
    for number in loader.sequences_of_step(step).tolist():
        yield f"sequence {number}"
        for one in loader.documents(number):
            tokens[one.source] += one.num_tokens
            end = one.begin + one.num_tokens
            yield printable(
                f"  at {one.at}: {one.source}  {one.doc_id}  epoch {one.epoch}  its tokens {one.begin:,} to {end:,}  "
                f"({one.shard} row {one.row})"
            )
    total = max(1, sum(tokens.values()))
    yield "shares: " + ", ".join(f"{source} {100 * n / total:.2f} %" for source, n in tokens.most_common())
