"""Data sets: MNIST and its stand-in, and arrays of one's own in a .npz file."""

from runtime.data.arrays import Arrays, load_arrays
from runtime.data.mnist import Mnist, load_mnist

__all__ = ["Arrays", "Mnist", "load_arrays", "load_mnist"]
