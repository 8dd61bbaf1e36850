"""Finds a string, an id or a url in finished shards: ``python -m mixtures.find DIR STRING``.

    shard -> grams -> postings -> index/: one file per shard -> search: candidate blocks -> decoded rows -> hits

- ``grams``: chooses a sample of a text's pieces, so that every string of 20 bytes or more holds at least one of them.
- ``postings``: stores which blocks of rows hold which piece, in about two bits more than the information itself.
- ``index``: makes and reads the index of one shard, and knows whether it is of the shard that lies there.
- ``search``: looks a string up, decodes the rows that may hold it, and compares; or scans all shards.

>>> from mixtures.find.grams import GRAIN_BYTES, minima
>>> text = b"the tide rises, the tide falls, the twilight darkens, the curlew calls"
>>> set(minima(text[10:50])) <= set(minima(text)), GRAIN_BYTES
(True, 20)
"""
