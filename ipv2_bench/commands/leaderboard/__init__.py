"""Rows of leaderboards: render, verify and rank them."""
