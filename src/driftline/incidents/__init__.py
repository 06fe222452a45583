"""What evidence leads to: incidents, their budget, and alerts."""
