"""Denoisers without a network: classical filters, and the identity."""
