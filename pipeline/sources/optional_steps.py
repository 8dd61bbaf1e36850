"""Lists the dedups that a configuration file can add to any source."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.passage_step import PassageDedup

OPTIONAL_STEPS: Mapping[str, DedupStep] = {step.NAME: step for step in (MinHashDedup(), PassageDedup())}
"""Maps the name of each dedup to the dedup with its default settings. If a configuration file adds these steps to a
source, they become its last steps, in this order. The source ``books`` already has a different near dedup,
:class:`pipeline.sources.dedup_steps.NearDedup`.
"""
