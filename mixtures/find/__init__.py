"""Finds a string, an id or a url in finished shards: ``python -m mixtures.find DIR STRING``.

    shard -> common -> grams -> postings -> index/: one file per shard
    string, index/ -> search: candidate blocks -> token_match -> decoded rows -> hits

- ``grams``: samples pieces of a text. Every string of 20 bytes or more contains at least one sampled piece.
- ``common``: counts which pieces are common in a shard. The sample prefers rarer pieces.
- ``limits``: the shortest string that can be found, and the largest size of an index.
- ``postings``: stores, in nearly the least possible space, which blocks of rows contain which pieces.
- ``checked_file``: reads parts of an index, and compares their checksums.
- ``index``: makes and reads the index of one shard, with the checksum of the shard that it was made from.
- ``same_time``: shows whether a shard was written or copied after its index was made. If so, the shard's checksum is
  compared.
- ``make``: makes the indexes that are missing, outdated or damaged.
- ``token_match``: finds the rows of a block that may contain a string, without decoding the tokens of each row.
- ``urls``: looks up a url in the clean documents.
- ``search``: looks a string up, decodes the rows that may contain it, and searches their text. It can also scan all
  shards.

In the example, all pieces that are sampled from a part of the text are also sampled from the whole text. The second
value is the length in bytes of the shortest string that can be found.

>>> from mixtures.find.common import count_common
>>> from mixtures.find.grams import minima
>>> from mixtures.find.limits import GRAIN_BYTES
>>> text = b"the tide rises, the tide falls, the twilight darkens, the curlew calls"
>>> common = count_common([text], most_entries=10)
>>> set(minima(text[10:50], common)) <= set(minima(text, common)), GRAIN_BYTES
(True, 20)
"""
