"""What decoding hands to counting, whatever the format of the bytes: columns, with the names and codes behind them."""
