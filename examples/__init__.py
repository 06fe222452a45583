"""What services around Driftline look like; `README.md` says how to try them."""
