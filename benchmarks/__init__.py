"""How fast local-ai is, beside its peers, measured in one run: `inv bench`."""
