"""Checks of everything that a server needs, each one line. They change nothing."""
