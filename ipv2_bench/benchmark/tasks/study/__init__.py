"""The study: whether the distances order results as the truth does."""
