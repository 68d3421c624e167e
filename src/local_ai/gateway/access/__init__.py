"""Who may come in: hosts, origins and API keys."""
