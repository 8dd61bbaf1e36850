"""The arXiv source: bulk tars of LaTeX papers."""
