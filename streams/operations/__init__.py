"""What an operator asks of the log besides an audit: trace a counter, list what waits, rebuild a store."""
