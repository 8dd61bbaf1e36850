"""Removes documents from finished shards: ``python -m mixtures.forget out --id ID``.

    ids, shards -> removal: new shards under temporary names -> renamed -> manifest, notices

- ``removal``: replaces the shards that contain the documents by new shards, and records the removal in the manifest.

    python -m mixtures.forget out --ids ids.txt --why "takedown request"
"""
