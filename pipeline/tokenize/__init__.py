"""Phase 2, tokenize: converts clean documents to files of token ids.

    clean/ -> pick_sample -> choose_tokenizer -> encode_parts: one token file per clean file -> exact token counts

- ``phase``: decides which sources need new token files.
- ``choose_tokenizer``: uses the given tokenizer, or trains one. ``pick_sample``: finds the documents to train on.
- ``check_kept``: refuses a mixture in which a source has no document left.
- ``encode_parts``: encodes clean files, and writes one token file for each.
- ``part_column``: reads the column by whose values a recipe divides a source into parts.
- ``held_out``: decides which documents are held out for validation.
- ``job``: describes a job. ``work``: estimates its work. ``parts``, ``list_parts``: list a folder's files.
- ``draw_sample``: draws the weighted sample on which a tokenizer is trained.

>>> from pipeline.tokenize.parts import Parts
>>> Parts("books", "out/clean/books", 2, "part-{:05d}.parquet").path(1)
'out/clean/books/part-00001.parquet'
"""
