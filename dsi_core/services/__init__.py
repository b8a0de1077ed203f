"""How a model behind an API is asked: requests, replies, waits; it needs no torch."""
