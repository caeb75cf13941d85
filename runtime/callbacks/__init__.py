"""What may be hooked into `fit`, under the names and with the arguments that Keras gave these things.

    base.py        what a callback is, and the running training that it sees
    monitor.py     which epoch was best
    saving.py      ModelCheckpoint
    stopping.py    EarlyStopping, TerminateOnNaN
    rates.py       LearningRateScheduler, ReduceLROnPlateau
    logging.py     CSVLogger, PlotHistory, TensorBoard, LambdaCallback

They decide from `training.history` wherever that is enough, since a checkpoint stores it: a resumed run then
behaves as if it had never been interrupted. What else a callback has to remember is its `state`, which a
checkpoint stores too.
"""

from runtime.callbacks.base import Callback, Training
from runtime.callbacks.logging import CSVLogger, LambdaCallback, PlotHistory, TensorBoard
from runtime.callbacks.monitor import epochs_since_best
from runtime.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from runtime.callbacks.saving import ModelCheckpoint
from runtime.callbacks.stopping import EarlyStopping, TerminateOnNaN
from runtime.history import History

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "PlotHistory",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "Training",
    "epochs_since_best",
]
