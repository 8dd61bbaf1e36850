"""Everything that is refused before work starts."""
