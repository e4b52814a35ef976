"""Prompt text as strict Jinja files, rendered and hashed."""
