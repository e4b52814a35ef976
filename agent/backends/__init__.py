"""Who sits in the seat of the investigation: one module a backend, found by walking this folder."""
