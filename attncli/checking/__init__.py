"""Proof that a model is what its spec says: laws that right models obey, tried on a small one of its kinds."""
