"""Applies the rules of C4 exactly as the original code does (``c4_utils`` of TensorFlow Datasets).

    page -> lines_and_pages -> (line dedup over all pages) -> sentences -> english -> bad_words

- ``lines_and_pages``: drops lines without an end mark, short lines and policy lines, and pages with too little left.
- ``sentences``: counts sentences as NLTK's Punkt does.
- ``english``: drops pages that are not English.
- ``bad_words``: drops pages that contain a word from a list.

>>> from filters.c4.lines_and_pages import C4Lines
>>> page = C4Lines(min_sentences=1).clean_page("Menu\\nThe tide tables are printed every year.")
>>> page.text
'The tide tables are printed every year.'
"""
