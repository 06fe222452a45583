"""The pipeline: its stages on the engine, their configuration, what must hold at start, and how others see them."""
