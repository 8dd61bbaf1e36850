"""Rules for source files: languages, licence headers, statistics."""
