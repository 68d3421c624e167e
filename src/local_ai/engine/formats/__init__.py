"""How model families write thoughts and calls: a table of their marks, a reader for each way of writing."""
