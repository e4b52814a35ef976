"""How well: scenarios, the runner, scorers, reports, the scripted model server."""
