"""From bytes to columns: what a format is (`api`), and those that Driftline brings (`listed`)."""
