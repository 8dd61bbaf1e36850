"""Near-duplicate documents: n-grams, MinHash signatures, candidates, and which documents of the verified pairs go.

    texts -> ngram_sets -> signatures, samples -> candidate pairs -> measure (exact) -> resolve

- ``ngrams``: the sets of word n-grams of many texts at once, and how much of one stands in another.
- ``minhash``: signatures equal to ``datasketch.MinHash``, and their bands.
- ``nominate``: the candidate pairs of documents that share a key.
- ``resolve``: the order in which documents stay, and which documents of the verified pairs go.

>>> from filters.near.ngrams import measured, ngram_sets
>>> a, b = ngram_sets(["one two three four five six", "zero one two three four five six"], ngram_words=5)
>>> measured(a, b)
Measured(num_shared=2, containment=1.0, jaccard=0.6666666666666666)
"""
