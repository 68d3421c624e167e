"""The models of this machine, and the starter model it can always make."""
