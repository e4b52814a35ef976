"""How well masking holds: a seeded set of what must be hidden and what must stay, read as a triage reads it."""
