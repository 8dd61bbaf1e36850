"""Makes the parts of the sample: one module per source, and modules that they share."""
