"""Clients of the server: the variables, words and files that lead each one to it."""
