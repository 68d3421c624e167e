"""When a request may proceed: the queue, the engine's readiness, memory, poison requests."""
