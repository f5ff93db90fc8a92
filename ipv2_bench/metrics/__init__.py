"""From images to features to distances; and, where the truth is known, fidelity to it."""
