"""A Transformer that sorts: up to twelve digits in any order; at each position, the digit that belongs there.

Vaswani et al., "Attention is all you need" (NeurIPS 2017), the encoder. Sequences have lengths: what fills up
a shorter one is seen by no position, and counts in no loss and no accuracy.
"""

from chainrule import (
    Adam,
    CrossEntropy,
    Dense,
    Embedding,
    Input,
    LayerNormalization,
    Model,
    MultiHeadAttention,
    PositionEmbedding,
    Softmax,
)

STEPS, DIGITS = 12, 10


def block(x, heads, units):
    """Attention to all digits, and two layers at each position; each is added to its input."""
    h = x + MultiHeadAttention(heads, units // heads)(LayerNormalization()(x))
    return h + Dense(units)(Dense(2 * units, activation="relu")(LayerNormalization()(h)))


def transformer(x, blocks, heads, units):
    """Probabilities of the digit at each position (t, DIGITS) for digits (t,)."""
    h = PositionEmbedding()(Embedding(DIGITS, units)(x))
    for _ in range(blocks):
        h = block(h, heads, units)
    return Softmax()(Dense(DIGITS)(LayerNormalization()(h)))


x = Input(STEPS, vocabulary=DIGITS, lengths=True, name="digits")

model = Model(x, transformer(x, blocks=2, heads=4, units=32), loss=CrossEntropy(), optimizer=Adam(3e-3))
