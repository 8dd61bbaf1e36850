"""Writes the dataset card of a mixture, ``OUT/README.md``. The numbers come from ``manifest.json``. The card begins
with the YAML head that dataset hubs read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import jinja2

from mixtures.manifest import tokenizer_name
from mixtures.notices import MARK
from mixtures.parts import source_of
from mixtures.plan.table import shown_epochs
from pipeline.files.files import exists, read_bytes, write_bytes
from pipeline.models.trained import doubts
from pipeline.output.markers import read_marker
from pipeline.output.paths import Layout
from pipeline.report.documents import Read, read_sample
from pipeline.report.model_remarks import MIN_TOKENIZER_BYTES, sample_of, trained_on
from pipeline.sources.all_sources import source_of_output
from pipeline.sources.source import UNKNOWN_LICENCE, Source
from tokenizer.codec import JSON, MODEL, RANKS

_LANGUAGE_BYTES = 4 << 20
"""The largest number of stored bytes of clean documents that are read per source to count languages."""
_RARE = 0.001
_KINDS = {MODEL: "SentencePiece", JSON: "Hugging Face tokenizers", RANKS: "tiktoken"}
_LIKENESS = {"perplexity": "a language model", "reference": "a classifier"}
"""Maps the key of a model to its description. The listed models choose documents that resemble Wikipedia."""


def write_card(layout: Layout, manifest: Mapping[str, Any]) -> None:
    """Writes the dataset card."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report"), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["yaml"] = lambda value: json.dumps(value, ensure_ascii=False)  # JSON is YAML
    environment.filters["cell"] = _cell
    environment.filters["epochs"] = lambda value: shown_epochs(value, decimals=3)
    names = list(dict.fromkeys(map(source_of, manifest["sources"])))
    sources = {name: _source(layout, name) for name in names}
    by_likeness = {name: judges for name, one in sources.items() if one and (judges := _judges(layout, one))}
    text = environment.get_template("card.md").render(
        manifest=manifest,
        notices_mark=MARK,
        licences={name: UNKNOWN_LICENCE if one is None else one.licence for name, one in sources.items()},
        cites={name: one.cite for name, one in sources.items() if one and (one.declared or {}).get("cite")},
        funnel={name: _funnel(layout, name) for name in names},
        languages=_languages(layout, names),
        size=size_category(manifest["documents"]),
        marks=_marks(manifest["tokenizer"]),
        tokenizer_file=tokenizer_name(manifest),
        tokenizer_kind=_KINDS[tokenizer_name(manifest)],
        likeness=list(by_likeness),
        judges=sorted({judge for judges in by_likeness.values() for judge in judges}),
        trained_on=trained_on(sample) if (sample := sample_of(manifest)) else "",
        doubts=list(_doubts(manifest)),
        repeated=[name for name, line in manifest["sources"].items() if line["epochs"] > 1],
    )
    write_bytes(layout.card, text.encode())


def _doubts(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yields a sentence, without its full stop, for each model and for the tokenizer, if it rests on little text."""
    for key, model in manifest["models"].items():
        if found := doubts(model.get("files", ())):
            yield f"The model of {key} is tiny: {'; '.join(found)}"
    sample = sample_of(manifest)
    if sample and sample["bytes"] < MIN_TOKENIZER_BYTES:
        yield f"The tokenizer was trained on {trained_on(sample)}, less than {MIN_TOKENIZER_BYTES / 1e6:.0f} MB"


def _source(layout: Layout, name: str) -> Source | None:
    """Returns a source as the run declared it. The dataset card shows the licence of this source. Returns None if the
    source is not known.
    """
    about = (read_marker(layout.marker(f"clean-{name}")) or {}).get("about") or {}
    return source_of_output(name, about.get("declared"))


def _judges(layout: Layout, source: Source) -> list[str]:
    """Returns descriptions of the models that chose a source's documents by their likeness to Wikipedia. An example of
    a description is ``a classifier``. If no such model was used, the list is empty.
    """
    about = (read_marker(layout.marker(f"clean-{source.name}")) or {}).get("about") or {}
    return [said for model, said in _LIKENESS.items() if model in about.get("models", {})]


def _marks(tokenizer: Mapping[str, Any]) -> str:
    """Returns a phrase that says whether each document starts with the bos id and ends with the eos id. The id -1 means
    that the tokenizer does not add this token:

    >>> _marks({"bos_id": -1, "eos_id": 2})
    'eos included, no bos'
    """
    given = [name for name in ("bos", "eos") if tokenizer[f"{name}_id"] >= 0]
    if len(given) == 2:
        return "bos and eos included"
    return f"{given[0]} included, no {'bos' if given == ['eos'] else 'eos'}" if given else "no bos and no eos"


def size_category(num_docs: int) -> str:
    """Returns the size category of a data set, as dataset hubs name it. ``num_docs`` is the number of rows.

    >>> size_category(918), size_category(1_000), size_category(3_000_000_000)
    ('n<1K', '1K<n<10K', '1B<n<10B')
    """
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    place = sum(num_docs >= 1000 * 10**power for power in range(len(names)))
    if place == 0:
        return "n<1K"
    return f"{names[place - 1]}<n<{names[place]}" if place < len(names) else "n>1T"


def _cell(text: str) -> str:
    """Returns a name escaped for a Markdown table.

    >>> _cell("a|b")
    'a\\\\|b'
    """
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _funnel(layout: Layout, name: str) -> Mapping[str, int] | None:
    """Returns how many documents of a source were read, kept and dropped; None if the source has no statistics."""
    if not exists(layout.stats(name)):
        return None
    documents: Mapping[str, int] = json.loads(read_bytes(layout.stats(name)))["documents"]
    return documents


def _languages(layout: Layout, names: list[str]) -> list[str]:
    """Returns the languages of a sample of the documents, most common first. For each source, languages of less than
    0.1 % of the sampled documents are left out. All programming languages are listed as ``code``.
    """
    docs: Counter[str] = Counter()
    for name in names:
        of_source: Counter[str] = Counter()
        columns = ["language", "programming_language"]
        for _, batch in read_sample(layout.clean(name), columns, Read(), budget_bytes=_LANGUAGE_BYTES):
            is_code = "programming_language" in batch.schema.names
            of_source.update(["code"] * batch.num_rows if is_code else batch.column("language").to_pylist())
        total = of_source.total()
        docs.update({lang: n for lang, n in of_source.items() if lang not in (None, "und") and n >= _RARE * total})
    return [language for language, _ in docs.most_common()]
