"""The layers: each a forward formula in index notation, a shape rule and argument checks, nothing else."""

from compiler.layers.activations import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from compiler.layers.base import Forward, Layer, Node, Parameter
from compiler.layers.batch_normalization import BatchNormalization
from compiler.layers.convolution import Conv2D, DepthwiseConv2D
from compiler.layers.dense import Dense
from compiler.layers.formula import Formula
from compiler.layers.merging import Add, Concatenate
from compiler.layers.pointwise import Pointwise
from compiler.layers.pooling import AveragePooling2D, GlobalAveragePooling2D, MaxPool2D
from compiler.layers.regularization import Dropout
from compiler.layers.shaping import Flatten, Input, Rescaling, Reshape

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Add",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "Formula",
    "Forward",
    "GlobalAveragePooling2D",
    "HardSigmoid",
    "HardSwish",
    "Input",
    "Layer",
    "LeakyReLU",
    "LogSoftmax",
    "MaxPool2D",
    "Mish",
    "Node",
    "PReLU",
    "Parameter",
    "Pointwise",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]
