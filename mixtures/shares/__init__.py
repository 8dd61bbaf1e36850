"""Prints each source's share of the tokens of an output: ``python -m mixtures.shares out``.

    manifest.json, loader -> measure: shares of each source -> table

- ``measure``: computes the shares in the whole output, in its worst shard, and at the beginning of the loader's stream.

    python -m mixtures.shares out --first 0.05 --seq-len 4096
"""
