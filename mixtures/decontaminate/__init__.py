"""Evaluation sets: reading them, their index as a file, and the check of finished shards.

    JSON lines, Parquet -> read_sets -> table (a file that processes share) -> search in documents -> hits, summary

- ``settings``: the sets, their columns, and what is done about what is found.
- ``read_sets``: the items of a set, from JSON lines or Parquet.
- ``table``: the file of an index, which the pipeline and this command map into memory.
- ``summary``: what was found of each set, and the items that were not.
- ``search``: searches finished shards, in several processes.
- ``certificate``: the files that say what was searched and found (``python -m mixtures.decontaminate``).

The rules are in ``filters.decontaminate``.

>>> from mixtures.decontaminate.settings import parse_settings
>>> parse_settings([{"name": "mine", "path": "evals/mine.jsonl", "question": "q", "answer": "a"}]).action
'drop'
"""
