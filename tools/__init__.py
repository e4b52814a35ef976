"""What can be seen: sources, parsers, catalogues, inventory, detectors and the read functions of the agent."""
