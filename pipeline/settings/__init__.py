"""Converts the user's flags and YAML file to one validated ``Settings`` object.

    flags, config file, recipe -> request -> settings.parse -> Settings -> the phases

- ``flags``: the command's flags, and Beam's (``beam_flags.json``).
- ``runner_options``: lists options of Flink's and Spark's job servers that Beam's Python package does not know.
- ``request``: reads flags, file and recipe, and checks all that needs no large library.
- ``settings``: makes the settings of the run from the request, and checks them.
- ``source_names``: says which sources a run has, and from which files it reads them.
- ``source_settings``: applies settings to a source's reader, join and steps.
- ``dedup_settings``: limits how much a near dedup may remove.
- ``inputs``: lists the files that a source's globs match. ``globs``: finds globs that surely match no file.
- ``bundled_sample``: the sample corpus that comes with the package.
- ``named_values``: checks that languages, wikis, licences and sites exist. ``languages``: suggests the language that
  a user meant.

>>> from pipeline.settings.settings import parse
>>> settings = parse(["--input", "books=gutenberg/**", "--output", "mixture"])
>>> settings.recipe.name, list(settings.sources), settings.output
('llama', ['books'], 'mixture')
"""
