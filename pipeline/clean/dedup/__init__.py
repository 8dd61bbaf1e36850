"""The dedups over all documents of a source, one file per kind."""
