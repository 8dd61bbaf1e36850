"""Writes the shards in the formats of other trainers: ``python -m mixtures.export --format megatron out exported``.

    shards -> layouts (divides them into groups) -> layouts, mds or arrayrecord (writes files per group) -> exported/

- ``formats``: names the formats.
- ``layouts``: checks and divides the shards, and writes the formats of Megatron-LM, datatrove and Dolma.
- ``mds``: writes MosaicML streaming's format. ``arrayrecord``: writes Grain's format.
- ``files``: reads the documents of a group of shards, and renames the new files when all are complete.

    python -m mixtures.export --format mds out exported
"""
