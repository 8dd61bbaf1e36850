"""Reads file formats that several sources share. Damage is reported with its location, and reading continues after the
damage.

    .warc, .wet -> gzip_members -> warc_records -> http_message -> warc_pages -> web_page
    .jsonl -> json_lines        .bz2 -> bzip2_blocks, bzip2_threads        wet.paths -> paths_list

- ``warc_records``, ``warc_pages``: read the records of a WARC file, and the pages in them.
- ``http_message``: reads an HTTP response. ``web_page``: extracts the text of an HTML page.
- ``gzip_members``: reads gzip files member by member. ``gzip_unpacker``: unpacks a member as a stream.
- ``bzip2_blocks``, ``bzip2_threads``: read bzip2 files block by block, and with several threads.
- ``json_lines``: reads files with one JSON object per line.
- ``paths_list``: reads a crawl's list of files.
- ``damaged_tar``: reads a tar in one pass and continues after damage.
- ``http_body``, ``media_type``, ``html_charset``: find out the packing, the type and the encoding of a web page.
- ``html_tags``, ``html_open_elements``, ``html_cost``: estimate the time to parse a page before it is parsed.

>>> from pipeline.sources.formats.json_lines import parse_object
>>> parse_object(b'{"text": "a"}', "a.jsonl:1"), parse_object(b"[1]", "a.jsonl:2").reason
({'text': 'a'}, 'not_an_object')
"""
