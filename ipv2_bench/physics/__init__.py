"""What a CT scanner does: units, projection and reconstruction, dose and noise. Imports nothing of ours."""
