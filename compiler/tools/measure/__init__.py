"""Measurements of compiled models: how fast the programs and the kernels of a module are, and why."""
