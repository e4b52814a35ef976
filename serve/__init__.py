"""Who hears: the command line, the API, the demo."""
