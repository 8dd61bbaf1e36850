"""The Wikipedia source: XML dumps."""
