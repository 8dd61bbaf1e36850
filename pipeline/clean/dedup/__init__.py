"""Runs the dedups over all documents of a source. The dedups compare small keys of the documents; workers do not
exchange texts.

    batch -> keys -> grouped by key -> verdicts -> the pass that opens the batch again

- ``exact``, ``exact_keys``: keep one of the documents that have the same key.
- ``lines``, ``line_keys``: remove lines that several documents share.
- ``passages``: cuts long passages that several documents share. It uses the keys and the graph of the line dedup.
- ``near``, ``near_keys``: keep one of two books that overlap, compared by all their word n-grams.
- ``min_hash``, ``min_hash_keys``, ``min_hash_pairs``, ``min_hash_rows``: keep one of two documents that overlap. They
  work for every source.
- ``across``, ``across_keys``, ``across_pairs``: drop documents that an earlier source or an earlier run has.
- ``kept_texts``: reads the texts of kept documents, to compare new documents with them.
- ``index_files``: writes and reads the index of a source, which has the keys of the documents that the source keeps.
- ``pair_files``: records the pairs of a near dedup: each removed document and the document that was kept instead.
- ``ceilings``: compares the number of documents that a near dedup removed with the number that it may remove.
- ``kind``, ``kinds``: the interface of a dedup, and the table that maps settings to code.
- ``earlier_dumps``: drops a document of a newer dump if an earlier dump keeps a document with the same key.

>>> from pipeline.sources.dedup_steps import ExactDedup
>>> ExactDedup(NAME="duplicate_url", reason="duplicate_url", key="url", newest="timestamp").reasons
('duplicate_url',)
"""
