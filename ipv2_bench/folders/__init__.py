"""Work on folders of slices without a benchmark: check, denoise, simulate, purify."""
