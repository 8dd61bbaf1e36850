"""Wikipedia: reads XML dumps of twenty languages.

    .xml.bz2 -> index: units -> streams: XML -> xml: pages -> pages: pages or faults -> reader: documents

- ``reader``: the reader, the steps and the source.
- ``index``: splits a large dump into units.
- ``streams``: decompresses a unit, from any place in the file.
- ``xml``: reads MediaWiki's export format. ``pages``: yields the pages of one unit, and reports damage.

>>> from pipeline.sources.wikipedia.reader import wiki_in_name
>>> wiki_in_name("dewiki-20220601-pages-articles.xml.bz2")
'de'
"""
