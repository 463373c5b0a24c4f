"""Training of every learned part: strict recipes, packed data, one loop. Nothing but the command line imports this."""
