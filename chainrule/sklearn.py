"""Estimators for scikit-learn: a model that is compiled for the data it is fitted to, and trained.

    from chainrule.sklearn import ChainruleClassifier
    make_pipeline(StandardScaler(), ChainruleClassifier(hidden=(32,))).fit(X, y).score(X, y)

In: parameters, which are numbers, names and models. Out: estimators with scikit-learn's conventions. No code
is kept: a pickled estimator holds its parameters and the arrays that it has learned, and is compiled again,
from the cache, where it is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from compiler import Adam, CrossEntropy, Dense, Input, MeanSquaredError, Model, Sequential, Softmax
from compiler.toolchain.from_python import compile as compile_model
from runtime.cache_folder import cache_folder
from runtime.interface import ModelInterface
from runtime.trainer import fit

Build = Callable[[int, int], Model]


class _Estimator(BaseEstimator):
    """What classifier and regressor share.

    Parameters: `hidden` are the sizes of hidden dense layers, `activation` what follows each. Or `model` is a
    Model, or a function of the numbers of features and outputs that returns one, and counts instead of them.
    `learning_rate` None is the model's own. `epochs`, `batch_size`, `validation_split`, `accumulate`, `ema`,
    `callbacks` and `verbose` are those of `fit` of `runtime.trainer`; `target` and `dtype` are those of
    `chainrule.compile`, but that no dtype is that of the samples, float64 or float32, as scikit-learn's
    estimators have it. `random_state` is the seed of weights, order and dropout.

    Fitted attributes: `weights_`, arrays by name; `history_`, what was measured; `n_features_in_`; `dtype_`.
    """

    _outputs: int
    _loss: Any

    def __init__(
        self,
        hidden: Sequence[int] = (64,),
        activation: str = "relu",
        *,
        model: Model | Build | None = None,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float | None = None,
        validation_split: float = 0.0,
        accumulate: int = 1,
        ema: float | None = None,
        callbacks: Sequence[Any] = (),
        dtype: str | None = None,
        target: str = "native",
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.hidden = hidden
        self.activation = activation
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_split = validation_split
        self.accumulate = accumulate
        self.ema = ema
        self.callbacks = callbacks
        self.dtype = dtype
        self.target = target
        self.random_state = random_state
        self.verbose = verbose

    def _train(self, x: np.ndarray, y: np.ndarray, outputs: int, given_weight: Any) -> None:
        """Compile for these data, train, and keep what was learned."""
        self.n_outputs_ = outputs
        self.dtype_ = self.dtype or str(x.dtype)
        y = y.astype(self.dtype_) if y.dtype.kind == "f" else y
        self._weighted = given_weight is not None
        module = self._module()
        weight = None if given_weight is None else self._relative(given_weight, x)
        interface = ModelInterface.of_module(module)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        network = module.Network(seed=seed)
        if self.learning_rate is not None:
            network.learning_rate = self.learning_rate
        self.history_ = fit(
            network,
            interface.fit_inputs(x.astype(self.dtype_), "samples"),
            y,
            batch_size=self.batch_size,
            epochs=self.epochs,
            verbose=self.verbose,
            callbacks=list(self.callbacks),
            validation_split=self.validation_split,
            accumulate=self.accumulate,
            ema=self.ema,
            sample_weight=weight,
            interface=interface,
        )
        learned = {**network.parameters, **network.state}
        self.weights_ = {name: array.copy() for name, array in learned.items()}
        self._network = network

    def _relative(self, given: Any, x: np.ndarray) -> np.ndarray:
        """Weights whose mean is 1, so that a batch of all samples gives the mean that they are weights of.

        Raises ValueError where they are not a number for each sample, or nothing is left to learn from.
        """
        weight = np.asarray(given, np.float64)
        weight = np.full(len(x), weight) if weight.ndim == 0 else weight
        if weight.shape != (len(x),):
            raise ValueError(f"sample_weight must have {len(x)} numbers, one a sample, found {weight.shape}")
        if not (np.isfinite(weight).all() and weight.min() >= 0):
            raise ValueError("sample_weight must be finite numbers, 0 or more")
        if not weight.any():
            raise ValueError("every sample_weight is zero: there is nothing to learn from")
        return weight * (len(weight) / weight.sum())

    def _predicted(self, given: Any) -> np.ndarray:
        """The model's outputs (N, outputs)."""
        check_is_fitted(self, "weights_")
        x = validate_data(self, given, dtype=(np.float64, np.float32), reset=False).astype(self.dtype_)
        if getattr(self, "_network", None) is None:
            self._network = self._restored()
        interface = ModelInterface.of_network(self._network)
        return self._network.predict(np.ascontiguousarray(interface.fit_inputs(x, "samples")))

    def _restored(self) -> Any:
        network = self._module().Network(seed=0)
        for name, array in {**network.parameters, **network.state}.items():
            array[...] = self.weights_[name]
        return network

    def _module(self) -> Any:
        """The module for these numbers of features and outputs, from the cache if it was built."""
        built = self.model
        if built is None:
            built = self._dense(self.n_features_in_, self.n_outputs_)
        elif not isinstance(built, Model):
            built = built(self.n_features_in_, self.n_outputs_)
        if self._weighted and not built.sample_weight:
            built = dataclasses.replace(built, sample_weight=True)
        name = f"estimator_{hashlib.sha256(built.fingerprint().encode()).hexdigest()[:16]}"
        # A folder for each: fits that run at the same time do not wait for each other's files.
        out = cache_folder() / "estimators" / name
        return compile_model(built.named(name), out=out, dtype=self.dtype_, target=self.target)

    def _dense(self, features: int, outputs: int) -> Model:
        if not all(isinstance(size, Integral) and size > 0 for size in self.hidden):
            raise ValueError(f"hidden must be sizes of layers, whole numbers from 1 on, not {self.hidden!r}")
        layers: list[Any] = [Input(features)]
        layers += [Dense(int(size), activation=self.activation) for size in self.hidden]
        return Sequential([*layers, *self._ending(outputs)], loss=self._loss(), optimizer=Adam(1e-2))

    def _ending(self, outputs: int) -> list[Any]:
        return [Dense(outputs)]

    def __getstate__(self) -> dict[str, Any]:
        """Parameters and arrays; the network is made again where it is needed."""
        return {name: value for name, value in super().__getstate__().items() if name != "_network"}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weights_")


class ChainruleClassifier(ClassifierMixin, _Estimator):
    """A classifier: softmax over as many classes as there are, trained by cross-entropy.

    A `model` of one's own must end in probabilities and take class numbers for labels. Besides what all
    estimators have, `classes_` are the classes.
    """

    _loss = CrossEntropy

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ChainruleClassifier:
        """Train on samples (N, features), their classes (N,) and weights (N,). Raises ValueError."""
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs samples of two classes or more, found one class: {y[0]!r}")
        self._train(X, labels.astype(np.int64), len(self.classes_), sample_weight)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, classes), the classes in the order of `classes_`."""
        return self._predicted(X)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each sample, (N,)."""
        probabilities = self._predicted(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def _ending(self, outputs: int) -> list[Any]:
        return [Dense(outputs), Softmax()]


class ChainruleRegressor(RegressorMixin, _Estimator):
    """A regressor: as many values as the targets have, trained by the mean squared error."""

    _loss = MeanSquaredError

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ChainruleRegressor:
        """Train on samples (N, features), targets (N,) or (N, outputs), weights (N,). Raises ValueError."""
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True)
        self._flat = y.ndim == 1
        outputs = 1 if y.ndim == 1 else y.shape[1]
        self._train(X, y.reshape(len(y), -1), outputs, sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Values (N,) or (N, outputs), as the targets were."""
        outputs = self._predicted(X).astype(np.float64)
        return outputs[:, 0] if self._flat else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
