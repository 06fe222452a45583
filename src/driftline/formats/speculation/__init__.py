"""Reading records by guessing their shape: most events of a model are written alike, but for their values."""
