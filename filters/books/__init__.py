"""Contains the rules for books. They handle Project Gutenberg's boilerplate, the quality of texts, and the overlap
between books.

    text -> boilerplate, credits -> quality -> text of the book
    text -> overlap: hashes of word 5-grams, and a sample of these (a sketch) -> overlap_groups: books to drop

- ``boilerplate``: removes Gutenberg's header, licence and small print.
- ``credits``: removes production credits and transcribers' notes at both ends.
- ``quality``: drops listings, short texts, and texts that are not prose.
- ``overlap``: measures how much of one book is in another.
- ``overlap_groups``: finds pairs of books from sketches, and decides which book of each pair is dropped.

>>> from filters.books.overlap import overlap, shingles
>>> novel, omnibus = "it was the best of times", "It was the best of times; it was the worst of times."
>>> overlap(shingles(novel), shingles(omnibus))
1.0
"""
