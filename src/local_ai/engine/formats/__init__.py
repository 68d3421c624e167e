"""The formats of model families' thoughts and calls: a table of marks, a reader for each format."""
