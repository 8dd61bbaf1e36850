"""The GitHub source: BigQuery exports."""
