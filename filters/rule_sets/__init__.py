"""Applies two common rule sets for web pages, Gopher's and FineWeb's, exactly as datatrove does.

    texts -> words as numbers -> signals (gopher, repetition, fineweb) -> limits of the rules -> verdicts

- ``gopher``: applies Gopher's rules for quality and for repetition (two steps).
- ``fineweb``: applies FineWeb's rules.
- ``words``: represents the words of a batch as numbers, and sums values over them.
- ``english_words``: splits a run of characters without spaces into words and punctuation marks.
- ``repetition``: measures how much of a text is repeated.

Each step measures all its signals for all documents, so that different limits can be tried without reading the texts
again. The limits and verdicts are those of datatrove's filters (0.10). ``benchmarks/rule_sets.py`` checks this.

>>> import pyarrow as pa
>>> from filters.rule_sets.gopher import GopherQuality
>>> batch = pa.record_batch({"text": ["Too short", "These sentences have words of the usual length."]})
>>> outcome = GopherQuality(min_words=3).apply(batch, models={})
>>> outcome.verdict.to_pylist(), outcome.signals["gopher_words"].to_pylist()
(['too_few_words', None], [2.0, 8.0])
"""
