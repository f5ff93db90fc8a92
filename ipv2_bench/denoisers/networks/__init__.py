"""Networks that the denoisers share."""
