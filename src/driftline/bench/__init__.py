"""What an event costs: a standard workload, contenders that each read it in a process of their own, and the ratios."""
