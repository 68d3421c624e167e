"""Pictures of a request: read, bounded, and decoded in a process of their own."""
