"""Start, stop, restart and unload: the verbs, with their checks and their lock."""
