"""What a process says of itself: metrics, health, log lines."""
