"""Executors: what may change the fleet, one module each, see `agent/execution.py`."""
