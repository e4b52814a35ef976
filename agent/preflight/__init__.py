"""What proves a model endpoint before it is trusted: every claim of it is tried, nothing is believed."""
