"""When a request may go on: the queue, the engine's readiness, memory, poison requests."""
