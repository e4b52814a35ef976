"""Where facts come from: one module a source, found by walking this folder."""
