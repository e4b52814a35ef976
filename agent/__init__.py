"""What it means: rules, the investigation, grounding, policy, model backends, the store."""
