"""Noise models, one a file: each holds a `NOISE`, and `laws/noise.py` finds it."""
