"""From a recipe's weights to exact tokens, to shards, and to a trainer's batches. No Beam, no pipeline.

    recipe -> plan -> (pipeline.mix) -> shards, manifest -> stream -> loader -> torch_dataset

What the pipeline uses:

- ``recipe``, ``config``: weights and limits, and the configuration file that may override them.
- ``recipes``: the recipes that ship.
- ``from_yaml``: the one converter from YAML to checked values.
- ``decontaminate``: evaluation sets, and their index as a file.
- ``plan``: weights become tokens and epochs (``python -m mixtures.plan``).
- ``subset``: chooses the documents of a last, partial epoch by hash, exact to the token.
- ``tokenizer_sample``: the weighted sample on which a tokenizer is trained.
- ``shards``, ``manifest``: the files that a run writes.

What a trainer uses:

- ``storage``, ``stream``: shards on a disk or in a store, read as one stream of tokens.
- ``stages``: the outputs of several stages, which continue one another, as one stream.
- ``packing``, ``permutation``, ``loader``: packed sequences in a shuffled order, and batches of them.
- ``torch_dataset``: the same for PyTorch's ``DataLoader``.
- ``grain``: the same as a data source for Grain, and in the forms of MaxText and torchtitan.
- ``export``: the shards in other trainers' formats (``export_files``, ``export_mds``, ``export_arrayrecord``).

What a person uses:

- ``inspect``: prints documents of shards (``python -m mixtures.inspect``).
- ``find``: finds a string, an id or a url in the shards (``python -m mixtures.find``).
- ``forget``: takes documents out of the shards (``python -m mixtures.forget``).
- ``verify``: compares every shard with the manifest (``python -m mixtures.verify``).
- ``shares``: prints each source's share of the tokens (``python -m mixtures.shares``).
- ``loader_settings``, ``batch``, ``row_order``, ``best_fit``, ``pass_counter``: the parts of the loader.
- ``strict_yaml``: refuses YAML that would lose settings.

>>> from mixtures.recipe import load_recipe
>>> {name: float(weight) for name, weight in load_recipe("llama").weights.items() if weight > 10}
{'common_crawl': 67.0, 'c4': 15.0}
"""
