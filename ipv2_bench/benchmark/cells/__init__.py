"""Cells: one denoiser trained under one strategy with one seed, and what it makes of the test set.

Plan → specification → training → denoising → measuring, each complete step kept in the cell's folder.
"""
