"""What the commands about benchmarks do: reproduce, compare, render, verify, rank, study, attribute, calibrate."""
