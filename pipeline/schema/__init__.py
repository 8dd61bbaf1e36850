"""Makes the JSON Schema of configuration files. Editors use the schema to complete and check these files.

    dataclasses of settings -> build -> config.schema.json -> python -m pipeline.schema -> an editor

- ``value_types``: makes the schema of a setting from the type of its field.
- ``mixture``: makes the schema of the section ``mixture``, including sources that are divided into parts.
- ``build``: makes the schema of a whole file. ``python -m tests.make_schema`` calls it and writes
  ``config.schema.json``.
- ``__main__``: the command. It prints ``config.schema.json``.

The schema contains names, types and descriptions. It cannot check everything: for example, only a run that reads the
file checks that weights add up to 100.

>>> from pipeline.schema.value_types import schema_of
>>> schema_of(bool)
{'type': 'boolean'}
"""
