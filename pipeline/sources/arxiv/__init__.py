"""arXiv: reads the LaTeX sources of papers from arXiv's bulk tars.

    .tar -> formats.damaged_tar: members -> paper_archive: the TeX files of a paper -> reader: one document per paper

- ``reader``: the reader, the steps and the source.
- ``paper_archive``: unpacks one paper's archive, with bounds on its size.
- ``readme``: reads ``00README``, a file that names the main TeX file of a paper.

>>> from pipeline.sources.arxiv.reader import paper_id
>>> paper_id("math0309117").arxiv_id
'math/0309117'
"""
