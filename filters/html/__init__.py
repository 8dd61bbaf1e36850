"""HTML fragments to plain text."""
