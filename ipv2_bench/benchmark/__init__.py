"""Benchmarks: configuration and tables → data → cells → rows → views, and the tasks that commands call."""
