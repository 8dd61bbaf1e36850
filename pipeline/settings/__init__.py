"""What the user asked for: flags and YAML become one checked ``Settings`` value."""
