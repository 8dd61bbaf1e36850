"""Lists options for Flink and Spark that Beam's Java job servers know and Beam's Python package does not.

Beam's Python package learns these options from the job server when a job is submitted. A misspelt flag must be found
before the job is submitted, so this module lists the options. The names are from two places: Beam's table of Flink
options (https://beam.apache.org/documentation/runners/flink/), and the interfaces ``FlinkPipelineOptions``,
``SparkPipelineOptions``, ``SparkCommonPipelineOptions`` and ``SparkPortableStreamingPipelineOptions``.

>>> sorted(RUNNER_OPTIONS)
['FlinkRunner', 'SparkRunner']
>>> runners_of("--storage_level")
['SparkRunner']
"""

from __future__ import annotations

import argparse

_FLINK_VALUES = (
    "auto_watermark_interval", "checkpoint_timeout_millis", "checkpointing_interval", "checkpointing_mode",
    "execution_mode_for_batch", "execution_retry_delay", "file_input_split_max_size_m_b", "flink_conf_dir",
    "job_check_interval_in_secs", "latency_tracking_interval", "max_bundle_size", "max_bundle_time_mills",
    "min_pause_between_checkpoints", "num_concurrent_checkpoints", "number_of_execution_retries",
    "report_checkpoint_duration", "savepoint_path", "shutdown_sources_after_idle_ms", "state_backend",
    "state_backend_factory", "state_backend_storage_path",
)  # fmt: skip
_FLINK_SWITCHES = (
    "allow_non_restored_state", "attached_mode", "auto_balance_write_files_sharding_enabled", "disable_metrics",
    "enable_stable_input_drain", "externalized_checkpoints_enabled", "fail_on_checkpointing_errors", "faster_copy",
    "finish_bundle_before_checkpointing", "force_slot_sharing_group", "force_unaligned_checkpoint_enabled",
    "object_reuse", "operator_chaining", "re_iterable_group_by_key_result",
    "retain_externalized_checkpoints_on_cancellation", "unaligned_checkpoint_enabled", "use_data_stream_for_batch",
)  # fmt: skip
_SPARK_VALUES = (
    "batch_interval_millis", "bundle_size", "checkpoint_dir", "checkpoint_duration_millis", "max_records_per_batch",
    "min_read_time_millis", "read_time_percentage", "spark_master", "storage_level", "streaming_timeout_ms",
)  # fmt: skip
_SPARK_SWITCHES = (
    "cache_disabled", "enable_spark_metric_sinks", "prefer_group_by_key_to_handle_huge_values",
    "uses_provided_spark_context",
)  # fmt: skip

RUNNER_OPTIONS = {
    "FlinkRunner": (_FLINK_VALUES, _FLINK_SWITCHES),
    "SparkRunner": (_SPARK_VALUES, _SPARK_SWITCHES),
}
"""Maps each runner to a pair: its options that take a value, and its switches (options without a value)."""


def add_runner_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options in :data:`RUNNER_OPTIONS` to a parser, in the same form in which Beam would add them.

    A switch (an option that turns something on) takes no value. For example, Beam refuses ``--object_reuse=true``.
    """
    for values, switches in RUNNER_OPTIONS.values():
        for name in values:
            parser.add_argument(f"--{name}")
        for name in switches:
            parser.add_argument(f"--{name}", action="store_true")


def runners_of(flag: str) -> list[str]:
    """Returns the runners that have an option; an empty list if the flag is not an option of a runner."""
    return [runner for runner, kinds in RUNNER_OPTIONS.items() if any(flag == f"--{n}" for k in kinds for n in k)]
