"""The HTML page of a board: one file that loads nothing from anywhere."""
