"""Other servers whose models are asked for here: watched, and requests forwarded to them."""
