"""What is watched of models as wholes and of the stream itself: a file each, listed in `tasks.watchers`."""
