"""The books source: plain text, archives and JSON lines."""
