"""What the two stages are called in the state and the topics, for those who only read there: they load no stage."""

SUMMARISE = "summarise"
JUDGE = "judge"
VIEW = "view/"
"""Where a stage's blobs begin that tell what it is at."""
