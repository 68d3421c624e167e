"""Observe everything once, judge it, and report it: the same for terminal, page and JSON."""
