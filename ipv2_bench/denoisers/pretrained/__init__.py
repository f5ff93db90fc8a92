"""Trained denoisers by name: those in the package, and those that a registry file of one's own adds."""
