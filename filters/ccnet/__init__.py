"""Applies the rules of CCNet with the limits of its published code.

    text -> length -> line_hashes (line dedup over all pages) -> length -> (language) -> perplexity

- ``length``: drops texts with too few characters, before and after the line dedup.
- ``line_hashes``: splits texts into lines, normalises and hashes the lines, and drops lines by their hashes.
- ``perplexity``: scores texts with a language model of Wikipedia and sorts them into head, middle and tail.
- ``compiled_perplexity``: gives the same scores with compiled loops. It opens KenLM's file with ``kenlm_tables``,
  normalises texts with ``one_pass``, splits them with ``piece_kernels``, and scores them with ``ngram_kernels``.
- ``charsmap``: finds the characters that a SentencePiece model joins to others.
- ``characters``: CCNet's tables of characters, which ``line_hashes`` and ``perplexity`` share.

>>> import pyarrow as pa
>>> from filters.ccnet.line_hashes import ccnet_hashes
>>> hashes = ccnet_hashes(pa.array(["Page 1 of 9", "PAGE 3 OF 7", "Page 1 of 99"])).hashes.tolist()
>>> hashes[0] == hashes[1], hashes[0] == hashes[2]  # case and digits do not matter, the number of digits does
(True, False)
"""
