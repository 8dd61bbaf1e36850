"""The dedups over all documents of a source. Small keys travel between machines; texts never do.

    batch -> keys -> grouped by key -> verdicts -> the pass that opens the batch again

- ``exact``, ``exact_keys``: keep one of all documents with an equal key.
- ``lines``, ``line_keys``: remove lines that several documents share.
- ``near``, ``near_keys``: keep one of two books that overlap, judged on all their word n-grams.
- ``min_hash``, ``min_hash_keys``, ``min_hash_pairs``: keep one of two documents of any source that overlap.
- ``evidence``, ``ceilings``: what a near dedup removed and for what, and how much it may remove.
- ``kind``, ``kinds``: the interface of a dedup, and the table that maps settings to code.
- ``earlier_dumps``: documents of a newer dump lose against those that earlier dumps keep.

>>> from pipeline.sources.dedup_steps import ExactDedup
>>> ExactDedup(NAME="duplicate_url", reason="duplicate_url", key="url", newest="timestamp").reasons
('duplicate_url',)
"""
