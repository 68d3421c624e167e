"""The HTTP endpoints of the engine: one folder a dialect, and what they share."""
