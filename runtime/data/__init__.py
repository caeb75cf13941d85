"""Data sets: MNIST and its stand-in, arrays of one's own in a .npz file, texts."""

from runtime.data.arrays import Arrays, load_arrays
from runtime.data.mnist import Mnist, load_mnist
from runtime.data.text import load_text, reads_text

__all__ = ["Arrays", "Mnist", "load_arrays", "load_mnist", "load_text", "reads_text"]
