"""Books: Project Gutenberg's boilerplate, quality and overlap."""
