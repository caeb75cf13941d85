"""A language model whose output layer is its table of characters: tied embeddings (Press and Wolf, 2017).

One block of causal attention over 32 characters of a text. What a character means on the way in is what it is
compared with on the way out, so the table is learnt from both ends.
"""

from chainrule import (
    Adam,
    CosineDecay,
    CrossEntropy,
    Dense,
    Embedding,
    Input,
    LayerNormalization,
    Model,
    MultiHeadAttention,
    PositionEmbedding,
    Softmax,
    Unembedding,
    WarmUp,
)

VOCABULARY, UNITS, STEPS = 96, 64, 2400
"""The printable characters of ASCII and the end of a line, numbers for each, updates of a training."""

text = Input(32, vocabulary=VOCABULARY)
table = Embedding(VOCABULARY, UNITS)

h = PositionEmbedding()(table(text))
h = h + MultiHeadAttention(4, UNITS // 4, causal=True)(LayerNormalization()(h))
h = h + Dense(UNITS)(Dense(2 * UNITS, activation="gelu")(LayerNormalization()(h)))
likelihood = Softmax()(Unembedding(table)(LayerNormalization()(h)))

schedule = WarmUp(CosineDecay(3e-3, STEPS, alpha=0.1), 100)
model = Model(text, likelihood, loss=CrossEntropy(), optimizer=Adam(schedule))
