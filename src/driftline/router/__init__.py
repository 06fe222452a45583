"""The router: alerts to people. `routes` and `desk` are pure, sinks deliver, and `app` runs both on Faust."""
