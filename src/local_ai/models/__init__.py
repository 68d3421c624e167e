"""Which models this machine has, and the starter model it can always make."""
