"""Pulling a model from the hub: checks, download, progress, and the program that the gateway runs for it."""
