"""Runs the dedups over all documents of a source. A dedup is a step that removes duplicates. It compares small keys of
the documents, so workers do not exchange texts. A verdict is a dedup's decision about a document.

    batch -> keys -> grouped by key -> verdicts -> the pass that opens the batch again

- ``exact``, ``exact_keys``: keep one of the documents that have the same key.
- ``lines``, ``line_keys``: remove lines that several documents share.
- ``passages``: removes long passages that several documents share. It uses the keys and the graph of the line dedup.
- ``near``, ``near_keys``: keep one of two books that overlap. They compare all word n-grams of the books.
- ``min_hash``, ``min_hash_keys``, ``min_hash_pairs``, ``min_hash_rows``: keep one of two documents that overlap. They
  work for every source, and find likely pairs with MinHash.
- ``across``, ``across_keys``, ``across_pairs``: drop documents that an earlier source or an earlier run has.
- ``kept_texts``: reads the texts of kept documents, to compare new documents with them.
- ``index_files``: writes and reads the index of a source, which has the keys of the documents that the source keeps.
- ``pair_files``: records the pairs of a near dedup: each removed document and the document that was kept instead.
- ``ceilings``: compares the number of documents that a near dedup removed with the number that it may remove.
- ``kind``, ``kinds``: the interface of a dedup, and the table that maps settings to code.
- ``earlier_dumps``: drops a document of a newer dump if an earlier dump keeps a document with the same key.

A dedup has one or more reasons, which the rows about dropped documents name:

>>> from pipeline.sources.dedup_steps import ExactDedup
>>> ExactDedup(NAME="duplicate_url", reason="duplicate_url", key="url", newest="timestamp").reasons
('duplicate_url',)
"""
