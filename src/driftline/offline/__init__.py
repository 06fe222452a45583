"""What runs without Kafka and Redis: a backtest of a table, and how often alarms come while nothing changes."""
