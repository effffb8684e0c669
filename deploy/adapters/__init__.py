"""Adapters of outside libraries that more than one package needs, handed in by the composition root."""
