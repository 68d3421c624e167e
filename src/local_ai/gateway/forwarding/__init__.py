"""A request on its way to the engine, and its answer on the way back."""
