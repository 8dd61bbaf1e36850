"""Lists the dedups that a configuration file can add to any source."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.passage_step import PassageDedup

OPTIONAL_STEPS: Mapping[str, DedupStep] = {step.NAME: step for step in (MinHashDedup(), PassageDedup())}
"""They are added as the last steps, in this order. Books have a near dedup of their own,
:class:`pipeline.sources.dedup_steps.NearDedup`.
"""
