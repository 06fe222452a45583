"""Columns to panes, and the panes of many sources put together."""
