"""Data sets: MNIST and its stand-in, arrays of one's own, images by class, tables, texts."""

from runtime.data.arrays import Arrays, load_arrays
from runtime.data.folders import load_images, load_mapped
from runtime.data.mnist import Mnist, load_mnist
from runtime.data.tables import load_table
from runtime.data.text import load_text, reads_text

__all__ = [
    "Arrays",
    "Mnist",
    "load_arrays",
    "load_images",
    "load_mapped",
    "load_mnist",
    "load_table",
    "load_text",
    "reads_text",
]
