"""Sorts of evidence that windows of a version or a segment have against their reference: a file each, `listed`."""
