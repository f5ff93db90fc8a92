"""One HTML page of what came out: self-contained, for people without an account and without a network."""
