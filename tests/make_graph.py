"""Writes ``tests/golden/graph.txt``, an outline of the whole Beam graph: ``python -m tests.make_graph``.

The file has one line per transform, with its label, and the coder of each of its outputs. So a change of the file shows
a changed label, a new or removed transform, or an element that would be pickled, before anything is run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.runners.pipeline_context import PipelineContext

from mixtures.recipe import Recipe, load_recipe
from pipeline import graph
from pipeline.clean.batch_address import PART_NAME
from pipeline.clean.job import JobPlaces, JobSizes, SourceJob
from pipeline.clean.sizing import scale_of
from pipeline.engine.runner import LocalRunner
from pipeline.files.spill import Shuffle
from pipeline.mix.job import CountJob, MixJob, SourceShare
from pipeline.sources import SOURCES
from pipeline.tokenize.encode_parts import TOKEN_FILE
from pipeline.tokenize.held_out import HeldOut
from pipeline.tokenize.job import TokenJob
from pipeline.tokenize.parts import Parts
from tokenizer.encoder_settings import EncoderSettings

GOLDEN = Path(__file__).parent / "golden" / "graph.txt"
_OURS = "beam:transform:generic_composite:v1"


def outline() -> str:
    """Returns the text of the golden file."""
    recipe = load_recipe("sample")
    tokens = [_token_job(recipe, s) for s in recipe.weights]
    jobs: dict[str, Callable[[beam.Pipeline], None]] = {
        "clean": lambda p: graph.clean(p, [_source_job(name) for name in recipe.weights]),
        "tokenize": lambda p: graph.tokenize(p, tokens),
        "count": lambda p: graph.count(p, _count_job(recipe)),
        "mix": lambda p: graph.mix(p, _mix_job(recipe)),
    }
    lines = []
    for name, build in jobs.items():
        lines += [f"== {name}", *_transforms(build), ""]
    return "\n".join(lines)


def _transforms(build: Callable[[beam.Pipeline], None]) -> Iterator[str]:
    p = beam.Pipeline(runner=LocalRunner())
    build(p)
    proto = p.to_runner_api(use_fake_coders=False)
    transforms, context = proto.components.transforms, PipelineContext(proto.components)
    shown = {}
    waiting = list(proto.root_transform_ids)
    while waiting:
        transform = transforms[waiting.pop()]
        # The inside of a transform of Beam itself is left out.
        waiting += transform.subtransforms if transform.spec.urn in ("", _OURS) else []
        if transform.unique_name:
            shown[transform.unique_name] = _outputs(transform, proto.components, context)
    for label in sorted(shown):
        yield f"{label}{shown[label]}"


def _outputs(transform: Any, components: Any, context: PipelineContext) -> str:
    if transform.subtransforms and transform.spec.urn in ("", _OURS):
        return ""
    coders = {
        tag: str(context.coders.get_by_id(components.pcollections[pcollection].coder_id))
        for tag, pcollection in sorted(transform.outputs.items())
    }
    return "".join(f"\n    {tag}: {coder}" for tag, coder in coders.items())


def _source_job(name: str) -> SourceJob:
    return SourceJob(
        source=SOURCES[name],
        fingerprint="",
        models={},
        sizes=JobSizes(scale=scale_of(1 << 20), sample_docs=100),
        places=JobPlaces(
            units_path="units",
            marker="marker",
            stats_path="",
            spill_dir="spill",
            clean_dir="clean",
            dropped_dir="dropped",
            shuffle=Shuffle("spill"),
        ),
    )


def _token_job(recipe: Recipe, source: str) -> TokenJob:
    return TokenJob(
        source=source,
        parts=Parts(source, "clean", 1, PART_NAME),
        tokenizer_path="model",
        encoder=EncoderSettings(),
        tokens_dir="tokens",
        validation_share=recipe.validation[source].share,
        exclude_path=None,
        marker="marker",
        fingerprint="",
    )


def _token_parts(recipe: Recipe) -> tuple[Parts, ...]:
    return tuple(Parts(s, "tokens", 1, TOKEN_FILE) for s in recipe.weights)


def _count_job(recipe: Recipe) -> CountJob:
    return CountJob(
        parts=_token_parts(recipe),
        shares={"books": Decimal("0.01")},
        wanted_tokens={"c4": 1000},
        result_path="held-out",
    )


def _mix_job(recipe: Recipe) -> MixJob:
    share = SourceShare(whole_epochs=1, remainder_tokens=1, held_out=HeldOut(share=Decimal("0.02")))
    return MixJob(
        parts=_token_parts(recipe),
        shares=dict.fromkeys(recipe.weights, share),
        source_names=tuple(sorted(recipe.weights)),
        seed=0,
        num_shards=2,
        num_validation_shards=dict.fromkeys(recipe.weights, 1),
        output="out",
        vocab_size=2000,
        metadata={},
        result_path="mixed",
        shuffle=Shuffle("spill"),
    )


def main() -> int:
    """Writes the golden file."""
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(outline(), "utf-8")
    print(f"wrote {GOLDEN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
