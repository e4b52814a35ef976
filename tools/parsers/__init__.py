"""Text forms that Daytwo can read: one module a form, found by walking this folder."""
