"""Run benchmarks: tables, one denoiser, a new one beside the others."""
