"""A small Transformer that predicts, at each of 32 positions of a text, which character comes next.

Vaswani et al., "Attention is all you need" (NeurIPS 2017), the decoder alone, with the normalisation before
each part instead of behind it, as in GPT-2.
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
    PositionalEncoding,
    Softmax,
)

VOCABULARY = 96
"""The printable characters of ASCII, and the end of a line."""


def block(x, heads, units):
    """Attention to what came before, and two layers at each position; each is added to its input."""
    h = x + MultiHeadAttention(heads, units // heads, causal=True)(LayerNormalization()(x))
    return h + Dense(units)(Dense(2 * units, activation="relu")(LayerNormalization()(h)))


def transformer(x, blocks, heads, units):
    """Probabilities of the next character (t, VOCABULARY) for characters (t,)."""
    h = PositionalEncoding()(Embedding(VOCABULARY, units)(x))
    for _ in range(blocks):
        h = block(h, heads, units)
    return Softmax()(Dense(VOCABULARY)(LayerNormalization()(h)))


x = Input(32, vocabulary=VOCABULARY)

model = Model(x, transformer(x, blocks=2, heads=4, units=48), loss=CrossEntropy(), optimizer=Adam(2e-3))
