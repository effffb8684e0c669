"""`fusion-billing bench meter`: load → engines → exact verification → figures. The story is in `run.py`."""
