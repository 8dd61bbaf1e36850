"""Applies two common rule sets for web pages, Gopher's and FineWeb's, exactly as datatrove does.

    texts: characters -> words: numbers of words -> repetition: repeated runs of words
    texts: characters -> lines: repeated lines and paragraphs, marks
    words, repetition, lines -> gopher, fineweb: signals -> rules -> verdicts

- ``gopher``: applies Gopher's rules for quality and for repetition (two steps).
- ``fineweb``: applies FineWeb's rules.
- ``texts``: reads the characters of a batch, and recognises texts that an earlier step has measured.
- ``words``: represents the words of a batch as numbers, and counts them.
- ``strings``: gives equal strings equal numbers.
- ``splitting``: splits many runs of characters without spaces into words and punctuation marks, in kernels.
- ``known_words``: prepares the tables of exceptions and characters for these kernels.
- ``english_words``: splits one run of characters. The kernels must give the same words.
- ``marks``: lists marks that end sentences, and punctuation marks.
- ``repetition``: counts the characters in repeated runs of words.
- ``lines``: counts lines, paragraphs and marks.

Each step measures all its signals for all documents, so that different limits can be tried without reading the texts
again. The limits and verdicts are those of datatrove's filters (0.10). ``benchmarks/rule_sets.py`` checks this.

>>> import pyarrow as pa
>>> from filters.rule_sets.gopher import GopherQuality
>>> batch = pa.record_batch({"text": ["Too short", "These sentences have words of the usual length."]})
>>> outcome = GopherQuality(min_words=3).apply(batch, models={})
>>> outcome.verdict.to_pylist(), outcome.signals["gopher_words"].to_pylist()
(['too_few_words', None], [2.0, 8.0])
"""
