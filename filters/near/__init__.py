"""Finds near-duplicate documents by their word n-grams, and decides which of them to remove.

    texts -> ngram_sets -> signatures, samples -> candidate pairs -> measure (exact) -> resolve

- ``folding``: the table that folds characters: lower case, no accents, spaces for other signs.
- ``hashing``: the loops that are compiled to machine code.
- ``ngrams``: computes the sets of word n-grams of many texts at once, and the overlap of two sets.
- ``minhash``: computes the same signatures as ``datasketch.MinHash``, and splits them into bands.
- ``nominate``: finds candidate pairs: documents that share a key (a band of a signature or a sampled n-gram).
- ``lookup``: finds candidate pairs between new documents and stored documents that are already kept.
- ``passages``: finds long passages that several texts share, and cuts them. It compares hashes of parts of the texts.
- ``resolve``: ranks documents, and decides which documents of the verified pairs to remove.

>>> from filters.near.ngrams import measured, ngram_sets
>>> a, b = ngram_sets(["one two three four five six", "zero one two three four five six"], ngram_words=5)
>>> measured(a, b)
Measured(num_shared=2, containment=1.0, jaccard=0.6666666666666666)
"""
