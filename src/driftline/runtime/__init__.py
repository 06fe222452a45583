"""The engine: claims tasks, drives them, and moves them forward in atomic steps. What they count it does not know."""
