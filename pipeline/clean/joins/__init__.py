"""The joins that make one document of several records."""
