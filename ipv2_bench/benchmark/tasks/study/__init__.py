"""What is asked of complete cells: whether the distances order results as the truth does, and whether nodules are still found."""
