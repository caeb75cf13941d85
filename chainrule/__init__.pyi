from chainrule.sklearn import ChainruleClassifier as ChainruleClassifier
from chainrule.sklearn import ChainruleRegressor as ChainruleRegressor
from compiler import *
from compiler.toolchain.from_python import compile as compile
from runtime.callbacks import *
from runtime.checkpoint import load_checkpoint as load_checkpoint
from runtime.checkpoint import load_weights as load_weights
from runtime.checkpoint import save_checkpoint as save_checkpoint
from runtime.diagnosis import Diagnose as Diagnose
from runtime.evaluation import evaluate as evaluate
from runtime.prediction import predict as predict
from runtime.trainer import fit as fit

__version__: str
from compiler.tools.derive.api import derive as derive
