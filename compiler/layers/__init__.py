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
from compiler.layers.attention import MultiHeadAttention, PositionalEncoding, PositionEmbedding
from compiler.layers.base import Forward, Layer, Node, Parameter
from compiler.layers.batch_normalization import BatchNormalization
from compiler.layers.convolution import Conv1D, Conv2D, DepthwiseConv2D, SeparableConv2D
from compiler.layers.dense import Dense
from compiler.layers.embedding import Embedding
from compiler.layers.formula import Formula
from compiler.layers.merging import Add, Concatenate
from compiler.layers.normalization import GroupNormalization, LayerNormalization, RMSNormalization
from compiler.layers.pointwise import Pointwise
from compiler.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    MaxPool1D,
    MaxPool2D,
)
from compiler.layers.recurrent import GRU, LSTM
from compiler.layers.regularization import Dropout
from compiler.layers.resizing import (
    Cropping1D,
    Cropping2D,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from compiler.layers.shaping import Flatten, Input, Permute, Rescaling, Reshape
from compiler.layers.transposed import Conv1DTranspose, Conv2DTranspose

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "SELU",
    "Add",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Flatten",
    "Formula",
    "Forward",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Input",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "LogSoftmax",
    "MaxPool1D",
    "MaxPool2D",
    "Mish",
    "MultiHeadAttention",
    "Node",
    "PReLU",
    "Parameter",
    "Permute",
    "Pointwise",
    "PositionEmbedding",
    "PositionalEncoding",
    "RMSNormalization",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
]
