"""Metrics as formulas: a module measures over all examples what NumPy finds, however they are divided."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.language.description import Model, Sequential
from compiler.language.layers import Dense, Input, Sigmoid, Softmax
from compiler.language.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from compiler.language.metrics import (
    F1,
    MAE,
    MSE,
    R2,
    Accuracy,
    ConfusionMatrix,
    Perplexity,
    Precision,
    Recall,
    TopK,
)
from compiler.language.optimizers import SGD
from compiler.module_source import compile_to_source
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.trainer import fit
from tests.machines import TARGETS
from tests.workshop import module_of

IGNORED, CLASSES = -1, 4


def described() -> Model:
    x = Input(6)
    word, is_true, size = Softmax()(Dense(CLASSES)(x)), Sigmoid()(Dense(2)(x)), Dense(3)(x)
    losses = {
        "word": CrossEntropy(ignore_index=IGNORED)(word),
        "true": BinaryCrossEntropy()(is_true),
        "size": MeanSquaredError()(size),
    }
    classes = [Accuracy(), TopK(k=2), Precision(), Recall(), F1(), ConfusionMatrix(), Perplexity()]
    metrics = {
        "word": classes,
        "true": [Accuracy(), Precision(), Recall(name="found")],
        "size": [MSE(), MAE(), R2()],
    }
    return Model(
        x, [word, is_true, size], losses=losses, metrics=metrics, optimizer=SGD(0.1), name="measured"
    )


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    source = compile_to_source(described(), TARGETS["scalar"], "float32", "digest")
    return module_of(source, tmp_path_factory.mktemp("metrics"))


def batch(count: int = 83) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    word = rng.integers(CLASSES - 1, size=count)  # no label is of the last class
    word[rng.random(count) < 0.2] = IGNORED
    true = rng.integers(2, size=(count, 2)).astype(np.float32)
    size = rng.normal(size=(count, 3)).astype(np.float32)
    return rng.normal(size=(count, 6)).astype(np.float32), {"word": word, "true": true, "size": size}


def of_counts(right: np.ndarray, found: np.ndarray, there: np.ndarray) -> tuple[float, float, float]:
    """Precision, recall and F1, means over classes."""
    precision, recall = right / np.maximum(found, 1), right / np.maximum(there, 1)
    return precision.mean(), recall.mean(), (2 * right / np.maximum(found + there, 1)).mean()


def test_a_module_says_which_labels_a_loss_is_a_mean_over(module: ModuleType) -> None:
    assert module.LOSSES == ("word", "true", "size")
    assert module.COUNTED_LOSSES == ModelInterface.of_module(module).counted == {"word": ("word", 1.0)}


def right(net, x: np.ndarray, y: dict[str, np.ndarray]) -> dict[str, float | np.ndarray]:
    """All metrics in NumPy."""
    word, true, size = net.predict(x)
    kept = y["word"] != IGNORED
    labels, chosen = y["word"][kept], word[kept].argmax(-1)
    table = np.zeros((CLASSES, CLASSES))
    np.add.at(table, (labels, chosen), 1)
    found = word[kept][np.arange(len(labels)), labels]
    top = (np.argsort(-word[kept], axis=-1, kind="stable")[:, :2] == labels[:, None]).any(-1)
    precision, recall, both = of_counts(np.diag(table), table.sum(0), table.sum(1))
    said, truth = true > 0.5, y["true"] > 0.5
    of_truth = of_counts((said & truth).sum(0), said.sum(0), truth.sum(0))
    error = size - y["size"]
    return {
        "word_accuracy": (labels == chosen).mean(),
        "word_top_k": top.mean(),
        "word_precision": precision,
        "word_recall": recall,
        "word_f1": both,
        "word_confusion_matrix": table,
        "word_perplexity": np.exp(-np.log(found).mean()),
        "true_accuracy": (said == truth).mean(),
        "true_precision": of_truth[0],
        "true_found": of_truth[1],
        "size_mse": (error**2).mean(),
        "size_mae": np.abs(error).mean(),
        "size_r2": 1 - (error**2).sum() / ((y["size"] - y["size"].mean()) ** 2).sum(),
    }


def test_every_metric(module: ModuleType) -> None:
    net, (x, y) = module.Network(seed=3), batch()
    losses, outputs, sums = net.evaluate(x, y)
    assert len(outputs) == 3 and list(losses) == ["loss", "word", "true", "size"]
    found, expected = net.metrics(sums), right(net, x, y)
    assert list(found) == list(expected) == list(module.METRICS)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-5), name
    interface = ModelInterface.of_module(module)
    for size in (1, 7, 83):
        again = evaluate(net, x, y, size, interface).metrics
        assert all(again[name] == pytest.approx(found[name], rel=1e-5) for name in found), size
    assert np.array_equal(
        evaluate(net, x, y, 5, interface).metrics["word_confusion_matrix"], expected["word_confusion_matrix"]
    )


def test_what_metrics_takes(module: ModuleType) -> None:
    net, (x, y) = module.Network(seed=3), batch()
    sums = net.evaluate(x, y)[2]
    with pytest.raises(ValueError, match=r"found none of 'size_r2\.count'"):
        net.metrics({name: value for name, value in sums.items() if name != "size_r2.count"})
    with pytest.raises(ValueError, match=r"sums\['word_recall.there'\]: expected shape \(4,\)"):
        net.metrics({**sums, "word_recall.there": np.zeros(3)})
    with pytest.raises(TypeError, match="sums: expected a mapping"):
        net.metrics(3)


def test_the_history_has_them(module: ModuleType) -> None:
    net, (x, y) = module.Network(seed=3), batch()
    interface = ModelInterface.of_module(module)
    options = {"validation_data": (x, y), "verbose": 0, "interface": interface}
    history = fit(net, x, y, epochs=2, **options).history
    measured = {name for name in module.METRICS if name != "word_confusion_matrix"}
    assert {f"val_{name}" for name in measured} < set(history)
    assert history["val_word_accuracy"][-1] == pytest.approx(right(net, x, y)["word_accuracy"])


def test_mistakes() -> None:
    layers = [Input(4), Dense(3), Softmax()]
    options = {"loss": CrossEntropy(), "optimizer": SGD(0.1)}
    for metrics, message in (
        ([Accuracy(), TopK(k=1, name="accuracy")], "two metrics are called accuracy"),
        ([MSE()], "MSE needs targets of the prediction's shape"),
        (["accuracy"], "wrong metric"),
        ([TopK(k=0)], "wrong k"),
        ({"other": [Accuracy()]}, "metrics of no loss"),
        ([Accuracy(name="a b")], "wrong name of a metric"),
    ):
        with pytest.raises(ModelError, match=message):
            Sequential(layers, metrics=metrics, **options).check()
    Sequential(layers, metrics=[Accuracy()], **options).check()
