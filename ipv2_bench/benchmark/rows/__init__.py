"""Rows: one JSON file for each image set that was measured. Tables, pictures, page and W&B are views of rows."""
