"""Compares every shard of an output with the manifest: ``python -m mixtures.verify out``.

    manifest.json, shards -> checks: one line per fault -> exit status

- ``checks``: reads the shards, adds up their rows and tokens, and finds documents that occur twice in an epoch.

    python -m mixtures.verify out --json
"""
