"""Three small models for tests of what crosses a module's border, with every mode, for any processor."""

PIXELS = """from compiler import Adam, CrossEntropy, Dense, Dropout, Input, Sequential, Softmax

model = Sequential([Input(5), Dropout(0.2), Dense(3), Softmax()], loss=CrossEntropy(), optimizer=Adam(0.01))
"""
"""Real inputs or bytes, a class for each example; dropout and an optimizer with slots."""

LETTERS = """from compiler import SGD, CrossEntropy, Dense, Embedding, Input, Sequential, Softmax

model = Sequential(
    [Input(4, vocabulary=6), Embedding(6, 3), Dense(6), Softmax()], loss=CrossEntropy(), optimizer=SGD(0.1)
)
"""
"""Integers as inputs, and a class for each position."""

TARGETS = """from compiler import SGD, BatchNormalization, Dense, Input, MeanSquaredError, Sequential

model = Sequential(
    [Input(5), Dense(4), BatchNormalization(), Dense(2)], loss=MeanSquaredError(), optimizer=SGD(0.1)
)
"""
"""Real targets; running means are state."""

MODELS = {"pixels": PIXELS, "letters": LETTERS, "targets": TARGETS}
MODES = {
    "pixels": ("vjp", "jvp", "hvp", "per_example"),
    "letters": ("vjp", "jvp", "hvp", "per_example"),
    "targets": ("vjp", "jvp", "hvp"),
}
