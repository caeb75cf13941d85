"""`chainrule.testing`: evidence for gradients that others wrote, in NumPy, PyTorch or JAX."""
