"""IPv2-Bench: image purification for ultra-low-dose lung CT, and the denoisers that it trains."""

__version__ = "0.1.0"
