"""Vendor catalogues as data: facts only, no policy."""
