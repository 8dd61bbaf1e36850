"""Turns a recipe's weights into exact token counts, shards, and a trainer's batches, without Beam or the pipeline.

    recipe -> plan -> (pipeline.mix) -> shards, manifest -> stream -> loader -> torch_dataset

What the pipeline uses:

- ``recipe``, ``recipe_values``, ``config``: weights and limits, and the configuration file that may override them.
- ``config_files``: reads the files of recipes and configurations, and adds the file and the line to error messages.
- ``setting_error``: the error about a wrong setting in a configuration file.
- ``recorded_recipe``: reads the recipe of an earlier run from its output.
- ``recipes``: the recipes that ship with the package.
- ``strict_yaml``, ``from_yaml``: reject YAML that would silently lose settings, and convert YAML to checked values.
- ``decontaminate``: reads evaluation sets, stores their index as a file, and searches finished shards.
- ``parts``: divides a source's tokens by a column of its documents.
- ``part_rows``: divides the rows of a batch among these parts.
- ``plan``: converts weights to tokens and epochs (``python -m mixtures.plan``).
- ``subset``: chooses the documents of a last, incomplete epoch by their hashes. The choice is exact to the token.
- ``tokenizer_sample``: draws the weighted sample on which a tokenizer is trained.
- ``shards``, ``manifest``: the files that a run writes. ``manifest_form``: the keys of the manifest.
- ``parquet_rows``: reads Parquet files so that damage is noticed.
- ``decoder``: finds the tokenizer that made shards, and loads it to decode them.

What a trainer uses:

- ``storage``, ``stream``: read shards on a disk or in an object store as one stream of tokens.
- ``stages``: joins the outputs of several training stages into one stream.
- ``packing``, ``permutation``, ``batch_plan``, ``loader``: pack sequences, shuffle them, and yield batches.
- ``loader_settings``, ``batch``, ``row_order``, ``best_fit``, ``pass_counter``: the parts of the loader.
- ``torch_dataset``: provides the batches to PyTorch's ``DataLoader``.
- ``grain``: provides the sequences to Grain, in its own format or in the formats of MaxText and torchtitan.
- ``export``: writes the shards in other trainers' formats (``python -m mixtures.export``).

What a person uses:

- ``inspect``: prints documents of shards (``python -m mixtures.inspect``).
- ``find``: finds a string, an id or a url in the shards (``python -m mixtures.find``).
- ``forget``: removes documents from the shards (``python -m mixtures.forget``).
- ``folder_lock``: keeps two commands from changing an output at the same time.
- ``notices``: adds a notice to the dataset card and the report, for example that the shards were changed later.
- ``verify``: compares every shard with the manifest (``python -m mixtures.verify``).
- ``shares``: prints each source's share of the tokens (``python -m mixtures.shares``).

>>> from mixtures.recipe import load_recipe
>>> {name: float(weight) for name, weight in load_recipe("llama").weights.items() if weight > 10}
{'common_crawl': 67.0, 'c4': 15.0}
"""
