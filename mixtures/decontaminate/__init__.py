"""Reads evaluation sets, stores their index as a file, and searches finished shards for their items.

An item is one example of a set: its question, passage or code, and the answer.

    JSON lines, Parquet -> read_sets -> table (a file that processes share) -> search in documents -> hits, summary

- ``settings``: defines the sets, their columns, and the action for documents that contain an item.
- ``read_sets``: reads the items of a set from JSON lines or Parquet.
- ``table``: writes and opens the file of an index, which all searching processes map into memory.
- ``summary``: counts the hits of each set and item, and lists the items that were not found.
- ``search``: searches finished shards in several processes.
- ``certificate``: writes the files that record the search and its result (``python -m mixtures.decontaminate``).

``filters.decontaminate`` contains the rules by which an item is found in a document.

>>> from mixtures.decontaminate.settings import parse_settings
>>> parse_settings([{"name": "mine", "path": "evals/mine.jsonl", "question": "q", "answer": "a"}]).action
'drop'
"""
