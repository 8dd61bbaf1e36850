"""Identifies languages with fastText's lid.176.

    texts -> word_sums: scores with error bounds -> detect: fastText itself, if the bounds do not decide

- ``detect``: the steps that fill in the language of documents, or drop documents by their language.
- ``codes``: the codes of the languages, and other names by which a user may call a language.
- ``word_sums``: computes the same results as fastText for a whole batch, twice as fast.
- ``compiled_sums``: does the same for large inputs, with the compiled loops of ``word_kernels``.

>>> from filters.language.detect import Language
>>> Language(languages=("en", "de"), min_score=0.8).REASONS
('low_language_score', 'other_language')
"""
