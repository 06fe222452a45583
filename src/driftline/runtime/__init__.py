"""The worker: claims tasks, drives them, and moves them forward in atomic steps."""
