"""Access: hosts, origins and API keys."""
