"""The sample's makers, one module a source, and what they share."""
