"""Converts HTML fragments (the bodies of posts) to plain text. Whole web pages are converted by
``sources.formats.web_page`` instead.

    HTML -> fragment: tokens -> writer: text

- ``fragment``: splits a fragment into tags and text, in linear time.
- ``writer``: writes lists, code, quotes and tables as plain text.
- ``marks``: writes inline elements that change the meaning of a text: exponents, struck words, quotations.

>>> from filters.html.fragment import html_to_text
>>> html_to_text("<p>About 10<sup>6</sup> <b>grains</b>.</p>")
'About 10^6 grains.'
"""
