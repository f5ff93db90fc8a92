"""Distances between two sets of features, whatever space they are of."""
