"""Draws the weighted sample of documents on which a tokenizer is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from mixtures.plan.deal import plan
from mixtures.plan.shares import Plan, PlanError, SourceTokens
from mixtures.plan.table import format_rows
from mixtures.recipe import Recipe
from tokenizer.train.sample import Sample, SmallestHashes, take_bytes


def weighted_sample(
    documents: Mapping[str, Callable[[], Iterable[tuple[str, str]]]],
    recipe: Recipe,
    *,
    max_bytes: int,
    available: Mapping[str, int] | None = None,
) -> Sample:
    """Returns a sample in which each source's share of the bytes is the recipe's weight.

    Documents are chosen by a hash of their id. The sample has at most ``max_bytes``, and no source in it exceeds the
    recipe's ``max_epochs`` (or one epoch, if ``max_epochs`` is less than 1). Within these limits, the sample is as
    large as possible. If a source has less text than its weight asks for, its text is repeated. Each source is read
    once. At most twice ``max_bytes`` of text is in memory.

    If a source is divided into parts, the weights of the parts are not used. A part's share of the sampled text is
    about its share of the source's text. The reason is that the sizes of the parts are known only after all documents
    have been read, but the sample of a large corpus is drawn before that.

    Args:
        documents: for each source, a function that streams (id, text).
        recipe: the weights and limits.
        max_bytes: the largest size of the sample's text, in bytes.
        available: the bytes of text of each source, if they are known. In this case a stream may omit documents. Every
            omitted document must have a larger :func:`sample_hash` than all documents that the stream yields.

    Raises:
        ValueError: a source with a weight has no text, and the recipe does not give its weight to the other sources.
        LookupError: a stream omitted documents that are needed. The argument of the error is the source.
    """
    weights = dict(recipe.weights if available is None else recipe.resolved(available).weights)
    if recipe.missing == "share":
        weights = {s: w for s, w in weights.items() if _has_text(s, documents, available)}
    is_derived = recipe.rule is not None and available is None  # the weights are known only after reading
    kept: dict[str, SmallestHashes] = {}
    for source in weights:
        share = Decimal(1) if is_derived else weights[source] / sum(weights.values())
        kept[source] = SmallestHashes(int(share * max_bytes) + 1)
        for doc_id, text in documents[source]() if source in documents else ():
            kept[source].add(doc_id, text)
    known = {s: k.seen_bytes if available is None else available.get(s, 0) for s, k in kept.items()}
    made = plan_sample(recipe, known, max_bytes)
    texts: list[str] = []
    source_bytes: dict[str, int] = {}
    for one in made.sources:
        if kept[one.source].seen_bytes < min(one.tokens, known[one.source]):
            raise LookupError(one.source)
        chosen = take_bytes(kept[one.source].smallest(), one.tokens, repeat=one.whole_epochs + 1)
        source_bytes[one.source] = sum(map(len, chosen))
        texts += [data.decode("utf-8") for data in chosen]
    return Sample(texts=tuple(texts), text_bytes=sum(source_bytes.values()), source_bytes=source_bytes)


def plan_sample(recipe: Recipe, available: Mapping[str, int], max_bytes: int) -> Plan:
    """Plans how many bytes of text the sample takes from each source. In the returned plan, all "tokens" are bytes.

    Raises:
        ValueError: a source with a weight has no text, and the recipe does not give its weight to the other sources.
    """
    try:
        return plan(_of_bytes(recipe, max_bytes), {s: SourceTokens(n, 1) for s, n in available.items()})
    except PlanError as error:
        rows = [(s, f"{w:f}", f"{available.get(s, 0):,}") for s, w in recipe.weights.items()]
        empty = ", ".join(s for s in recipe.weights if not available.get(s))
        raise ValueError(
            f"no sample for the tokenizer can be drawn:\n{format_rows(rows, ('source', 'weight %', 'bytes of text'))}\n"
            f"{empty or 'every source'} needs more text: give other input, take it out of the recipe, or set "
            "mixture.missing to share to share its weight out among the others"
        ) from error


def _has_text(
    source: str, documents: Mapping[str, Callable[[], Iterable[tuple[str, str]]]], available: Mapping[str, int] | None
) -> bool:
    if available is not None:
        return available.get(source, 0) > 0
    return source in documents and any(text for _, text in documents[source]())


def _of_bytes(recipe: Recipe, max_bytes: int) -> Recipe:
    limits = {s: max(e, Decimal(1)) for s, e in recipe.max_epochs.items()}
    return replace(recipe, max_epochs=limits, tokens=max_bytes, parts={})
