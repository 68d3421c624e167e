"""Pulling a model: the checks before it, its progress, and the program that does it for the gateway."""
