"""The models that steps use: found, checked, loaded, fetched and trained."""
