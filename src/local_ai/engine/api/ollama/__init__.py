"""Ollama's API: its requests in the core's terms, and answers in its shapes.

Source: https://docs.ollama.com/api
"""
