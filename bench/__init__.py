"""How fast Leuko is, how much memory it takes, and against what: see README.md here."""
