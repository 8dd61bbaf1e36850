"""LaTeX papers to text."""
