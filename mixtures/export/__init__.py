"""Writes the shards in the formats of other trainers: ``python -m mixtures.export --format megatron out exported``.

    shards -> layouts: the outputs, one or more shards in each -> layouts, mds or arrayrecord -> files -> exported/

- ``formats``: names the formats.
- ``layouts``: checks and divides the shards, and writes the formats of Megatron-LM, datatrove and Dolma.
- ``mds``: writes MosaicML streaming's format. ``arrayrecord``: writes Grain's format.
- ``files``: reads the documents of an output, and gives its files their names when all are complete.

    python -m mixtures.export --format mds out exported
"""
