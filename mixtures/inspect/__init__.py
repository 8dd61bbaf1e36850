"""Prints decoded documents of shards: ``python -m mixtures.inspect out/shards --source books -n 3``.

    shards, tokenizer -> documents: decoded rows -> plain output, or pager

- ``documents``: chooses rows of shards and decodes them. ``files``: finds the files of an output that have documents.
- ``names``: checks the sources, stages and reasons that the user names.
- ``pager``: shows one document after another in a terminal.
- ``pairs``: shows near-duplicates side by side: the removed document and the kept document. ``dropped_pairs``: the
  pairs of books, which are in ``dropped/``.
- ``elsewhere``: says which folder has a document that is not in the shards.
- ``parquet_documents``: reads documents from ``clean/`` and ``dropped/``. ``steps``: lists the documents that a loader
  yields at one step.

    python -m mixtures.inspect out/shards --source arxiv -n 1 --max-chars 300
"""
