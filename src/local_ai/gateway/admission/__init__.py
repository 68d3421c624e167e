"""Admission of requests: the queue, the engine's readiness, memory, poison requests."""
