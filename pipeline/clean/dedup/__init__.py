"""The dedups: they compare all documents of a source by small keys. The texts stay where they were spilled.

    exact.py  exact_keys.py  earlier_dumps.py   of the documents with equal keys, one is kept
    lines.py  line_keys.py                      lines that several documents contain are removed
    near.py   near_keys.py                      of two documents that overlap by more than a limit, one is kept
    kind.py                                     the interface of a dedup
    kinds.py                                    the table: which class runs which dedup of a source

``pipeline/sources/dedup_steps.py`` has the settings of the dedups, without Beam.

>>> from pipeline.clean.dedup.kinds import kind_of
>>> from pipeline.sources.dedup_steps import LineDedup, NearDedup
>>> kind_of(LineDedup()).key_tags(()), kind_of(NearDedup()).key_tags(())
(['lines'], ['books', 'sketches'])
"""
