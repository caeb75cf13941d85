"""Sizes of batches where nobody says another: what commands must know before NumPy is imported."""

TRAIN_BATCH_SIZE = 128
EVALUATION_BATCH_SIZE = 1024
