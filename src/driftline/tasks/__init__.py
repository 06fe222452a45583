"""The two tasks, Summarise and Judge, as pure functions of their records."""
