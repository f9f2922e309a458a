"""Ways to compute one attention: the reference, and faster ones that answer to it. `plan` chooses."""
