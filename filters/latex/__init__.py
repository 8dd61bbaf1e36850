r"""Cleans LaTeX papers: removes comments and front matter, and expands the authors' macros. The result is still LaTeX.

    files -> encoding -> project: one source -> lexer: code without comments -> expand -> structure: the body

- ``paper``: contains the step, which cleans a source with all modules below.
- ``encoding``: decodes bytes as LaTeX does.
- ``project``: finds the main file and replaces ``\input`` by the file that it names.
- ``lexer``: separates code from comments and verbatim text.
- ``expand``: expands macros in one pass from left to right, as TeX does. ``limits``: bounds its work.
- ``commands``, ``definitions``, ``macros``, ``arguments``, ``scopes``: read definitions and calls of macros for
  ``expand``.
- ``conditionals``, ``branches``, ``math_mode``: evaluate conditionals, if the source alone determines their outcome.
- ``structure``: finds title, sections, bibliography and appendix.
- ``main_file``: finds the main file, which TeX reads first.
- ``input_commands``: finds the commands that read another file.
- ``package_definitions``, ``switches``, ``loops``: handle definitions, switches and loops in the syntax of packages.
- ``settled_tests``: evaluates tests of numbers and characters, if the source alone determines their outcome.
- ``public_styles``: distinguishes macro files that a paper's authors wrote from public macro files.
- ``one_argument``, ``groups``, ``accents``, ``writer``: small helpers of the expansion.
- ``references``: removes lists of references.
- ``reference_headings``: finds headings of lists of references.

>>> from filters.latex.paper import clean_latex
>>> preamble = r"\newcommand{\R}{\mathbb{R}}\begin{document}"
>>> clean_latex(preamble + r"\section{Tides}Let $x \in \R$.\end{document}").text.strip()
'\\section{Tides}Let $x \\in \\mathbb{R}$.'
"""
