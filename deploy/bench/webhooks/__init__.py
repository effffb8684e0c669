"""`fusion-billing bench webhooks`: deliveries per second, isolation of endpoints, a million retries."""
