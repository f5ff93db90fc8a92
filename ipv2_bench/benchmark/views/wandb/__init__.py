"""Weights & Biases: runs of cells and tables, their pictures, and a report."""
