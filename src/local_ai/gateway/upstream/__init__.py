"""The connection to the engine, and the watch over it."""
