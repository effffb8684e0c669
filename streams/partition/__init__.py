"""One source partition at work: what follows the log and the catalog, what publishes, what saves."""
