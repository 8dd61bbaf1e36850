"""The JSON Schema of configuration files, by which an editor completes and checks them.

    dataclasses that the reader fills -> build -> config.schema.json -> python -m pipeline.schema -> an editor

- ``value_types``: the schema of a setting, from the type of its field.
- ``mixture``: the schema of ``mixture``, with the parts of sources.
- ``build``: the schema of a whole file. ``python -m tests.make_schema`` writes ``config.schema.json`` with it.
- ``__main__``: the command. It prints the file.

The schema knows names, types and descriptions. What only the reader can check, such as weights that add up to 100, it
leaves to the reader.

>>> from pipeline.schema.value_types import schema_of
>>> schema_of(bool)
{'type': 'boolean'}
"""
