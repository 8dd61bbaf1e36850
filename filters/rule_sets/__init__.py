"""The rule sets by which web pages are judged today: Gopher's and FineWeb's, as datatrove applies them.

    texts -> words: numbers of words -> gopher, fineweb: signals -> rules -> verdicts
             repetition: repeated lines and runs of words ->

- ``gopher``: Gopher's rules of quality and of repetition (two steps).
- ``fineweb``: FineWeb's three rules.
- ``words``: the words of a batch as numbers, and sums over them.
- ``english_words``: splits text between two spaces into words and marks.
- ``repetition``: what a text repeats.

Each step measures all its signals of all documents, so that other limits can be judged without reading a text again.
Their limits and verdicts are those of datatrove's filters (0.10): ``benchmarks/rule_sets.py`` compares them.

>>> import pyarrow as pa
>>> from filters.rule_sets.gopher import GopherQuality
>>> batch = pa.record_batch({"text": ["Too short", "It is of the kind that we have."]})
>>> outcome = GopherQuality(min_words=3).apply(batch, models={})
>>> outcome.verdict.to_pylist(), outcome.signals["gopher_words"].to_pylist()
(['too_few_words', None], [2.0, 8.0])
"""
