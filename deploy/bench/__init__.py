"""Benchmarks on the local stack's real servers: `fusion-billing bench …`. Read `README.md` beside this file first."""
