"""Model files and the two ways to write a model down."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from compiler import (
    SGD,
    Adam,
    Add,
    Concatenate,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Flatten,
    Forward,
    GlorotUniform,
    HeNormal,
    Input,
    Layer,
    MaxPool2D,
    Model,
    ModelError,
    ReLU,
    Sequential,
    Softmax,
)
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted((ROOT / "models").glob("*.py"))
LEARNING = {"loss": CrossEntropy(), "optimizer": Adam(1e-3)}


def names(model):
    return [step.name for step in model.graph.steps]


def in_new_process(code, *, hash_seed="0"):
    environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout


def test_mnist():
    model = load_model(ROOT / "models" / "mnist.py")
    assert model.name == "mnist"
    assert [(step.name, step.shape) for step in model.graph.steps] == [
        ("input", (28, 28, 1)),
        ("conv2d_1", (26, 26, 32)),
        ("relu_1", (26, 26, 32)),
        ("maxpool2d_1", (13, 13, 32)),
        ("conv2d_2", (11, 11, 64)),
        ("relu_2", (11, 11, 64)),
        ("maxpool2d_2", (5, 5, 64)),
        ("flatten_1", (1600,)),
        ("dropout_1", (1600,)),
        ("dense_1", (10,)),
        ("softmax_1", (10,)),
    ]


def mnist_sequence():
    layers = [Input(28, 28, 1), Conv2D(8, 3, activation="relu"), MaxPool2D(2), Flatten(), Dropout(0.5)]
    return Sequential([*layers, Dense(10), Softmax()], **LEARNING)


def mnist_graph():
    x = Input(28, 28, 1)
    h = MaxPool2D(2)(Conv2D(8, 3, activation="relu")(x))
    return Model(x, Softmax()(Dense(10)(Dropout(0.5)(Flatten()(h)))), **LEARNING)


def test_both_forms_are_the_same_model():
    assert mnist_sequence().fingerprint() == mnist_graph().fingerprint()
    assert lower(mnist_sequence()) == lower(mnist_graph())


@pytest.fixture(scope="module")
def fingerprints():
    """Of every model file, by processes of two hash seeds."""
    code = (
        "import json; from pathlib import Path\n"
        "from compiler.frontend.parse import load_model\n"
        f"files = map(Path, {[str(path) for path in MODELS]})\n"
        "print(json.dumps({path.stem: load_model(path).fingerprint() for path in files}))"
    )
    return [json.loads(in_new_process(code, hash_seed=seed)) for seed in ("1", "2")]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_fingerprint_is_the_same_in_every_process(path, fingerprints):
    expected = load_model(path).fingerprint()
    assert [found[path.stem] for found in fingerprints] == [expected, expected]
    assert str(ROOT) not in expected


@pytest.mark.parametrize(
    "changed",
    [
        lambda: small(units=6),
        lambda: small(initializer=HeNormal()),
        lambda: small(name="hidden"),
        lambda: small(rate=0.25),
        lambda: small(optimizer=Adam(2e-3)),
        lambda: small(optimizer=SGD(1e-3)),
        lambda: small(model_name="other"),
        lambda: small(size=4),
    ],
)
def test_fingerprint_sees_every_change(changed):
    assert small().fingerprint() == small().fingerprint()
    assert changed().fingerprint() != small().fingerprint()


def small(units=5, initializer=None, name=None, rate=0.5, optimizer=None, model_name="small", size=3):
    layers = [
        Input(size),
        Dense(units, kernel_initializer=initializer or GlorotUniform(), name=name),
        Dropout(rate),
        Dense(2),
        Softmax(),
    ]
    return Sequential(layers, loss=CrossEntropy(), optimizer=optimizer or Adam(1e-3), name=model_name)


def test_loading_needs_neither_sympy_nor_numpy():
    code = """
import sys
from compiler.frontend.parse import load_model
load_model("models/resnet_small.py").fingerprint()
print([name for name in ("sympy", "numpy") if name in sys.modules])
"""
    code = code.replace("models/", f"{ROOT}/models/")
    assert in_new_process(code) == "[]\n"


def test_formulas_are_checked_without_sympy(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from compiler import *\n"
        'layer = Formula("y[b, o] = sum[i](w[i, o] * x[b, i])", sizes={"o": 2}, parameters={"w": Ones()})\n'
        "model = Sequential([Input(3), layer], loss=MeanSquaredError(), optimizer=SGD())\n"
    )
    code = f"""
import sys
from compiler.frontend.parse import load_model
load_model({str(path)!r}).fingerprint()
print([name for name in ("sympy", "numpy") if name in sys.modules])
"""
    assert in_new_process(code) == "[]\n"


def test_names_are_counted_per_model():
    first, second = mnist_sequence(), mnist_sequence()
    assert names(first) == names(second)
    assert names(first)[1:4] == ["conv2d_1", "relu_1", "maxpool2d_1"]


def test_given_names():
    layers = [
        Input(4),
        Dense(3, name="hidden"),
        Dense(3),
        Dense(3, activation=ReLU(name="kink")),
        Dense(2),
        Softmax(),
    ]
    assert names(Sequential(layers, **LEARNING)) == [
        "input",
        "hidden",
        "dense_1",
        "dense_2",
        "kink",
        "dense_3",
        "softmax_1",
    ]


def test_plus_is_add_and_lists_are_inputs():
    x = Input(4)
    h = Dense(4)(x)
    total, both = x + h + x, Concatenate()([h, x])
    model = Model(x, Softmax()(Concatenate()(total, both, Add()(h, x))), **LEARNING)
    assert model.problems == ()
    assert names(model) == [
        "input",
        "dense_1",
        "add_1",
        "add_2",
        "concatenate_1",
        "add_3",
        "concatenate_2",
        "softmax_1",
    ]
    assert model.output_steps[0].shape == (16,)


def test_a_layer_used_twice_shares_its_parameters():
    x, shared = Input(4), Dense(4, activation="relu")
    lowered = lower(Model(x, Softmax()(shared(shared(x))), **LEARNING))
    assert [spec.name for spec in lowered.parameters] == ["dense_1.kernel", "dense_1.bias"]
    assert [row.name for row in lowered.layers] == [
        "input",
        "dense_1",
        "relu_1",
        "dense_1_use2",
        "relu_2",
        "softmax_1",
    ]
    assert lowered.parameter_count == 20


def test_a_layer_used_twice_on_other_shapes_is_an_error():
    x, shared = Input(4), Dense(3)
    model = Model(x, Softmax()(shared(shared(x))), **LEARNING)
    (problem,) = model.problems
    assert problem.layer == "dense_1_use2"
    assert problem.message == "the parameters that it shares have other shapes here"


def test_every_node_knows_its_line(tmp_path):
    path = tmp_path / "lines.py"
    path.write_text(
        "from compiler import *\n"
        "x = Input(4)\n"
        "h = Dense(\n"
        "    3,\n"
        ")(x)\n"
        "model = Model(\n"
        "    x, Softmax()(h),\n"
        "    loss=CrossEntropy(), optimizer=Adam(),\n"
        ")\n"
    )
    model = load_model(path)
    assert [(step.span.file, step.span.line) for step in model.graph.steps] == [
        (str(path), 2),
        (str(path), 3),
        (str(path), 7),
    ]


def test_variable_model_wins_and_the_name_is_kept(tmp_path):
    path = tmp_path / "two-models.py"
    build = "Sequential([Input(3), Dense(2), Softmax()], loss=CrossEntropy(), optimizer=Adam(){})\n"
    path.write_text(
        "from compiler import *\nother = " + build.format("") + "model = " + build.format(', name="mine"')
    )
    assert load_model(path).name == "mine"
    path.write_text("from compiler import *\nanything = " + build.format(""))
    assert load_model(path).name == "two_models"


def test_a_model_file_may_import_its_neighbour(tmp_path):
    (tmp_path / "blocks_of_mine.py").write_text(
        "from compiler import Dense\ndef block(x):\n    return Dense(2)(x)\n"
    )
    path = tmp_path / "net.py"
    path.write_text(
        "from blocks_of_mine import block\nfrom compiler import *\nx = Input(3)\n"
        "model = Model(x, Softmax()(block(x)), loss=CrossEntropy(), optimizer=Adam())\n"
    )
    before = list(sys.path)
    assert load_model(path).output_steps[0].shape == (2,)
    assert sys.path == before
    assert "blocks_of_mine" not in sys.modules


def test_postponed_annotations_in_a_model_file(tmp_path):
    path = tmp_path / "postponed.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from compiler import *\n"
        "@dataclass(frozen=True)\n"
        "class Twice(Layer):\n"
        "    factor: float = 2.0\n"
        "    def forward(self, x):\n"
        '        return Forward("y[...] = factor * x[...]", x, constants={"factor": self.factor})\n'
        "layers = [Input(3), Twice(), Dense(2), Softmax()]\n"
        "model = Sequential(layers, loss=CrossEntropy(), optimizer=Adam())\n"
    )
    assert names(load_model(path)) == ["input", "twice_1", "dense_1", "softmax_1"]


def test_deep_models_do_not_recurse():
    model = Sequential([Input(3), *(ReLU() for _ in range(3000)), Dense(2), Softmax()], **LEARNING)
    assert len(model.graph.steps) == 3003


def test_check_raises_all_problems():
    with pytest.raises(ModelError) as caught:
        Sequential([Input(3), Dense(0), Dropout(2)]).check()
    assert [problem.message for problem in caught.value.problems] == [
        "wrong units",
        "wrong rate",
        "the model has no loss",
        "the model has no optimizer",
    ]


@dataclass(frozen=True)
class Scale(Layer):
    """A layer of the user's: one formula, one shape rule."""

    factor: float

    def forward(self, x):
        return Forward("y[...] = factor * x[...]", x, constants={"factor": self.factor})


def test_a_new_layer_is_one_formula():
    model = Sequential([Input(3), Scale(3.0), Dense(2), Softmax()], **LEARNING)
    assert names(model)[1] == "scale_1"
    definition = lower(model).training.definition("scale_1")
    assert str(definition.terms[0].body) == "3*r0"
