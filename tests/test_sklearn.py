"""The estimators for scikit-learn: its conventions, its tools, and pickles without code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import chainrule
from chainrule.sklearn import ChainruleClassifier, ChainruleRegressor

ROOT = Path(__file__).resolve().parent.parent
X, Y = make_classification(120, 4, n_informative=3, n_redundant=0, class_sep=2.0, random_state=0)
SMALL = {"hidden": (8,), "epochs": 20, "target": "scalar", "random_state": 0}


@pytest.fixture(autouse=True)
def quick(workshop, hurried) -> None:
    """A C compiler that does not optimise, and the cache of the run."""


def test_in_a_pipeline_and_a_search() -> None:
    names = np.array(["no", "yes"])[Y]
    pipeline = make_pipeline(StandardScaler(), ChainruleClassifier(**SMALL))
    search = GridSearchCV(pipeline, {"chainruleclassifier__learning_rate": [1e-6, 1e-2]}, cv=2)
    search.fit(X, names)
    assert search.best_params_ == {"chainruleclassifier__learning_rate": 1e-2}
    assert search.score(X, names) > 0.9
    assert set(search.predict(X)) == {"no", "yes"}
    assert search.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(120), abs=1e-5)


def test_the_same_seed_gives_the_same_bits() -> None:
    one, other = (clone(ChainruleClassifier(**SMALL)).fit(X, Y) for _ in range(2))
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))
    assert one.history_.history["loss"] == other.history_.history["loss"]
    assert one.weights_.keys() == {"dense_1.kernel", "dense_1.bias", "dense_2.kernel", "dense_2.bias"}


def build(features: int, outputs: int) -> chainrule.Model:
    layers = [chainrule.Input(features), chainrule.Dense(8, activation="relu"), chainrule.Dense(outputs)]
    return chainrule.Sequential(
        [*layers, chainrule.Softmax()], loss=chainrule.CrossEntropy(), optimizer=chainrule.Adam(1e-2)
    )


@pytest.mark.parametrize("model", [build(4, 2), build], ids=["a model", "a function"])
def test_a_model_of_ones_own(model) -> None:
    """The same as the layers that are made without one: the formulas are, and the cache has them."""
    own = clone(ChainruleClassifier(**SMALL, model=model)).fit(X, Y)
    assert np.array_equal(own.predict(X), ChainruleClassifier(**SMALL).fit(X, Y).predict(X))


# Nothing of the project imports pickle; a pickle names these modules, and holds no code.
PICKLED = """
import pickle, pickletools, sys
import numpy as np
from sklearn.datasets import make_classification
from chainrule.sklearn import ChainruleClassifier

X, Y = make_classification(120, 4, n_informative=3, n_redundant=0, class_sep=2.0, random_state=0)
if sys.argv[1] == "write":
    fitted = ChainruleClassifier(hidden=(8,), epochs=20, target="scalar", random_state=0).fit(X, Y)
    text = pickle.dumps(fitted)
    open("pickled", "wb").write(text)
    names = {str(argument) for _, argument, _ in pickletools.genops(text) if isinstance(argument, str)}
    assert not [name for name in names if "estimator_" in name], names
    np.save("expected.npy", fitted.predict_proba(X))
else:
    again = pickle.load(open("pickled", "rb"))
    assert np.array_equal(again.predict_proba(X), np.load("expected.npy"))
"""


def test_a_pickle_is_read_by_another_process(tmp_path: Path) -> None:
    for what in ("write", "read"):
        command = [sys.executable, "-c", PICKLED, what]
        environment = {"PYTHONPATH": str(ROOT)}
        import os

        result = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr


def test_a_copy_of_a_model_whose_graph_was_made() -> None:
    import copy

    model = build(4, 2)
    before = model.fingerprint()
    assert copy.deepcopy(model).fingerprint() == before


def test_weights_of_samples() -> None:
    """Where a batch is all samples, a weight of 3 is a sample three times, and one of 0 is none."""
    options = {**SMALL, "batch_size": 500}
    weight = np.arange(len(X)) % 4
    weighted = ChainruleClassifier(**options).fit(X, Y, sample_weight=weight)
    repeated = ChainruleClassifier(**options).fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight))
    assert weighted.predict_proba(X) == pytest.approx(repeated.predict_proba(X), abs=1e-3)
    assert np.array_equal(
        ChainruleClassifier(**options, model=build(4, 2)).fit(X, Y, sample_weight=2.5).predict_proba(X),
        ChainruleClassifier(**options).fit(X, Y, sample_weight=np.ones(len(X))).predict_proba(X),
    )
    for wrong, words in ((weight[1:], "120 numbers"), (-weight, "0 or more"), (0 * weight, "zero")):
        with pytest.raises(ValueError, match=words):
            weighted.fit(X, Y, sample_weight=wrong)


def test_regression() -> None:
    target = X @ np.array([[1.0, 0.5], [0.2, -1], [0, 0], [-0.3, 1]])
    options = {**SMALL, "epochs": 60}
    several = ChainruleRegressor(**options).fit(X, target)
    assert several.predict(X).shape == (120, 2) and several.score(X, target) > 0.95
    with pytest.raises(ValueError, match="NaN"):
        several.fit(X * np.nan, target)


def test_every_example_of_the_page_runs() -> None:
    page = (ROOT / "docs" / "scikit-learn.md").read_text(encoding="utf-8")
    session: dict[str, object] = {}
    for example in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(example, "docs/scikit-learn.md", "exec"), session)
    assert session["search"].best_score_ > 0.8


@pytest.mark.long
@pytest.mark.parametrize("kind", [ChainruleClassifier, ChainruleRegressor])
def test_scikit_learn_finds_nothing_wrong(kind) -> None:
    """As they are when nothing is said. Some twenty models of other shapes are built: minutes."""
    check_estimator(kind())


@pytest.mark.parametrize("hidden", [(0,), (-1,), (2.5,)])
def test_sizes_that_are_none(hidden):
    with pytest.raises(ValueError, match="hidden must be sizes of layers"):
        ChainruleClassifier(hidden=hidden).fit(np.eye(4), [0, 1, 0, 1])
