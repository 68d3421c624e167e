"""Prompts are read and answers grow, a token a step."""
