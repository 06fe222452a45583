"""From bytes to columns. `native` reads Driftline's own JSON events."""
