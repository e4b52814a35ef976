"""Executors: what may change the fleet, one module each. This edition ships none."""
