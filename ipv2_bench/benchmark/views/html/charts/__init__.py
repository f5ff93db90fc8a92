"""Charts of the page: Python computes where everything is drawn, the templates draw it as SVG."""
