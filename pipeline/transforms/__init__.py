"""Beam composites, a file an idea."""
