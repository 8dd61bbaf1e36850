"""Builds the JSON Schema of a configuration file from the dataclasses into which the file is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from filters.step import Step
from mixtures.config import RECIPE_KEYS, RUN_KEYS
from mixtures.config_files import bundled_recipes, read_yaml
from mixtures.decontaminate.settings import DecontaminationSettings, SetSettings
from mixtures.from_yaml import setting_fields
from mixtures.recipe_values import ShardSettings
from pipeline.schema.mixture import mixture_schema
from pipeline.schema.value_types import TEXT, Schema, field_texts, first_paragraph, settings_schema
from pipeline.settings.dedup_settings import NEAR_FIXED, AcrossSettings, RemovalCeilings
from pipeline.settings.settings import RunLimits
from pipeline.sources import SOURCES
from pipeline.sources.all_steps import DEDUPS, EXACT, FILTERS
from pipeline.sources.corpora import declare
from pipeline.sources.corpora.values import KINDS
from pipeline.sources.dedup_steps import DedupStep, ExactDedup
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.optional_steps import OPTIONAL_STEPS
from pipeline.sources.source import AnyStep, Source
from tokenizer.encoder_settings import Fast
from tokenizer.train.training import TrainSettings

_GLOBS: Schema = {"anyOf": [{"type": "string", "minLength": 1},
                            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}]}  # fmt: skip
_EXACT = ExactDedup(NAME=EXACT, reason=EXACT, key="url", rule="Keeps one of all documents with an equal value.")
_EVERY: Mapping[str, AnyStep] = {**FILTERS, **DEDUPS, EXACT: _EXACT}
"""The steps that every source can list, by name."""


def build() -> Schema:
    """Returns the JSON Schema of a whole configuration file.

    >>> sorted(build()["properties"])[:4]
    ['corpora', 'decontamination', 'dedup', 'exclude']
    """
    own = {
        "recipe": {**TEXT, "description": "A recipe that ships, or a YAML file. The keys of this file override it.",
                   "examples": bundled_recipes()},
        "name": {"type": "string", "description": "The name of the mixture."},
        "inputs": {"type": "object", "additionalProperties": _GLOBS, "description": "Globs by source."},
        "models": {**TEXT, "description": "The folder of models."},
        "output": {**TEXT, "description": "The folder where everything is written."},
        "exclude": {**TEXT, "description": "A file of ids, urls or hosts that must not be in the output."},
        "seed": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+$"}],
                 "description": "The seed of the shuffle and of partial epochs.", "default": 0},
        "run": settings_schema(RunLimits()),
        "dedup": _dedup(),
        "decontamination": _decontamination(),
        "mixture": mixture_schema(),
        "tokenizer": _tokenizer(),
        "shards": settings_schema(ShardSettings()),
        "sources": _sources(),
        "corpora": {"type": "object", "additionalProperties": False,
                    "patternProperties": {"^[a-z][a-z0-9_]{0,62}$": _corpus()}},
        "paper": {"type": "object", "description": "What a publication says about its mixture, for comparison."},
    }  # fmt: skip
    assert set(own) == set(RUN_KEYS) | set(RECIPE_KEYS), set(own) ^ (set(RUN_KEYS) | set(RECIPE_KEYS))
    for key in ("run", "dedup", "decontamination", "corpora"):
        own[key] = {"anyOf": [own[key], {"type": "null"}]}
    names, closed = {"propertyNames": {"enum": list(SOURCES)}}, {"enum": closed_recipes()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of llama-mixture",
        "type": "object",
        "properties": own,
        "additionalProperties": False,
        # A file that declares no corpus, and names no recipe that might, has the sources that are in code.
        "if": {"not": {"anyOf": [{"required": ["corpora"]},
                                 {"required": ["recipe"], "properties": {"recipe": {"not": closed}}}]}},
        "then": {"properties": {"inputs": names, "sources": names}},
        "$defs": {f"step.{name}": _settings(step) for name, step in _EVERY.items()}
        | {"listed": _list_item({name: _ref(f"step.{name}") for name in _EVERY})},
    }  # fmt: skip


def closed_recipes() -> list[str]:
    """Returns the names of the bundled recipes that declare no corpora (sources of their own). If a configuration file
    builds on such a recipe and declares no corpora either, it can name only the sources that are defined in code.
    """
    return [name for name in bundled_recipes() if not read_yaml(name).get("corpora")]


def _tokenizer() -> Schema:
    mark = {"anyOf": [{"type": "boolean"}, {"type": "string", "minLength": 1}, {"type": "null"}]}
    encoding: dict[str, Schema] = {
        "path": {**TEXT, "description": "The file of a tokenizer. Without it, one is trained."},
        "bos": {**mark, "description": "Whether documents begin with bos, or the text of the token."},
        "eos": {**mark, "description": "Whether documents end with eos, or the text of the token."},
        "fast": {"enum": [*get_args(Fast), True, False]},
        "pattern": {"type": ["string", "null"], "description": "For a rank file: the regular expression, or its name."},
        "special_tokens": {"anyOf": [{"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
                                     {"type": "null"}]},
    }  # fmt: skip
    training = settings_schema(TrainSettings())["properties"]
    both = {"type": "object", "properties": {**training, **encoding}, "additionalProperties": False}
    return {"anyOf": [TEXT, both]}


def _dedup() -> Schema:
    """Returns the schema of the section ``dedup``. It has the ceilings (the largest shares of documents that a near
    dedup may remove), and the settings of the dedup across sources.
    """
    near = settings_schema(MinHashDedup(), fixed=NEAR_FIXED)
    near = {"anyOf": [{"type": "boolean"}, near], "description": field_texts(AcrossSettings)["near"], "default": True}
    whole, across = settings_schema(RemovalCeilings()), settings_schema(AcrossSettings())
    whole["properties"] |= across["properties"] | {"near": near}
    return whole


def _decontamination() -> Schema:
    one = settings_schema(SetSettings())
    one["required"] = ["name", "path"]
    sets: Schema = {"anyOf": [TEXT, {"type": "array", "items": one, "minItems": 1}]}
    whole = settings_schema(DecontaminationSettings())
    whole["properties"]["sets"] = sets
    return {"anyOf": [{"enum": [False]}, {"type": "array", "items": one, "minItems": 1}, whole]}


def _sources() -> Schema:
    return {
        "type": "object",
        "properties": {name: _source(source) for name, source in SOURCES.items()},
        "additionalProperties": {"type": "object"},
        "description": "Settings of each source's reader, join and steps.",
    }


def _source(source: Source) -> Schema:
    """Returns the schema of the section with a source's settings. The section can always have settings of the source's
    own steps and of the optional dedups. It can have settings of a different step only if the list ``steps``
    contains this step.
    """
    own: dict[str, Any] = {"reader": _optional(settings_schema(source.reader, fixed=DedupStep.FIXED))}
    own["reader"]["description"] = first_paragraph(type(source.reader).__doc__)
    if source.join is not None and setting_fields(source.join):
        own["join"] = _optional(settings_schema(source.join, fixed=DedupStep.FIXED))
    steps = {step.NAME: step for step in source.steps}
    known = [*own, "steps", *steps, *(name for name in OPTIONAL_STEPS if name not in steps)]
    return {
        "type": "object",
        "description": f"Settings of {source.name}.",
        "properties": {**{name: _step(_ref(f"step.{name}"), step) for name, step in _EVERY.items()},
                       **{name: _step(_settings(step), step) for name, step in steps.items()},
                       **own, "steps": _steps(step for step in source.steps if step.NAME not in _EVERY)},
        "patternProperties": {"^duplicate_": {}},
        "additionalProperties": False,
        "if": {"not": {"required": ["steps"]}},
        "then": {"propertyNames": {"enum": known}},
    }  # fmt: skip


def _optional(settings: Schema) -> Schema:
    return {"anyOf": [settings, {"type": "null"}, {"enum": [True]}]}


def _step(settings: Schema, step: AnyStep) -> Schema:
    text = first_paragraph(type(step).__doc__) if isinstance(step, Step) else step.rule
    return {"anyOf": [settings, {"type": "boolean"}, {"type": "null"}], "description": text}


def _settings(step: AnyStep) -> Schema:
    return settings_schema(step, fixed=() if step.NAME == EXACT else DedupStep.FIXED)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _steps(own: Iterable[AnyStep]) -> Schema:
    """Returns the schema of a list of steps. Each step is a filter, a dedup, or one of the source's own steps."""
    inner = {step.NAME: _settings(step) for step in own}
    return {"type": "array", "items": {"anyOf": [_ref("listed"), _list_item(inner)]}}


def _list_item(settings: Mapping[str, Schema]) -> Schema:
    """Returns the schema of one item in a list of steps. An item is the name of a step, or a mapping from the name to
    the step's settings.
    """
    properties = {name: {"anyOf": [one, {"type": "null"}]} for name, one in settings.items()}
    with_settings = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
                     "properties": properties}  # fmt: skip
    return {"anyOf": [{"enum": sorted(settings)}, with_settings]}


def _corpus() -> Schema:
    entry = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}},
                       {"type": "object", "additionalProperties": False, "required": ["path"],
                        "properties": {"path": {"type": ["string", "array"]}, "type": {"enum": list(KINDS)},
                                       "is_optional": {"type": "boolean"}}}]}  # fmt: skip
    text = {"type": ["string", "number"]}
    properties: dict[str, Schema] = {
        "files": _GLOBS,
        "form": {"type": ["string", "null"], "description": "parquet, jsonl or arrow; default: by the files' names"},
        "columns": {"anyOf": [{"type": "object", "additionalProperties": entry},
                              {"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        "constants": {"anyOf": [{"type": "object", "additionalProperties": text}, {"type": "null"}]},
        "max_text_bytes": {"type": "integer", "minimum": 1},
        "steps": {"anyOf": [_steps([declare._DUPLICATE_ID]), {"type": "null"}]},
        "licence": {"anyOf": [text, {"type": "null"},
                              {"type": "object", "additionalProperties": False, "required": ["name"],
                               "properties": dict.fromkeys(("name", "asks", "link"), text)}]},
        "cite": text,
    }  # fmt: skip
    assert set(properties) == set(declare.KEYS)
    return {"type": "object", "properties": properties, "additionalProperties": False}
