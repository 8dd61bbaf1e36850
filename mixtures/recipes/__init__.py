"""The recipes that ship with the package, as data files."""
