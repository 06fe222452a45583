"""What labels say in Judge: outcomes in slices of time, whether a model still works, and what a drift costs."""
