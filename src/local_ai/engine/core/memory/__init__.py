"""Remembered prompts, and the memory that is left for more."""
