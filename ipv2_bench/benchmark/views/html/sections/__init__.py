"""Sections of the page: Python computes what each one shows, the template of the same name writes it as HTML."""
