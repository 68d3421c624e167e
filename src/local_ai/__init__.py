"""local-ai."""
