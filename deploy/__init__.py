"""How it runs: the composition root, the local stack, containers and dashboards."""
