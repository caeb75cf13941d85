"""A GPT of 12 blocks, 128 channels and 4 heads, that predicts the next character at each of 64 positions.

Radford et al., "Language models are unsupervised multitask learners" (2019): normalisation before each part,
and layers of four times as many units behind the attention.
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

VOCABULARY, POSITIONS, CHANNELS, HEADS, BLOCKS = 96, 64, 128, 4, 12


def block(x):
    """Attention to what came before, and two layers at each position; each is added to its input."""
    h = x + MultiHeadAttention(HEADS, CHANNELS // HEADS, causal=True)(LayerNormalization()(x))
    return h + Dense(CHANNELS)(Dense(4 * CHANNELS, activation="gelu")(LayerNormalization()(h)))


x = Input(POSITIONS, vocabulary=VOCABULARY)
h = PositionEmbedding()(Embedding(VOCABULARY, CHANNELS)(x))
for _ in range(BLOCKS):
    h = block(h)

model = Model(
    x,
    Softmax()(Dense(VOCABULARY)(LayerNormalization()(h))),
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
