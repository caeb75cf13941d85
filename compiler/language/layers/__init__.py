"""The layers: each a forward formula in index notation, a shape rule and argument checks, nothing else."""

from compiler.language.layers.activations import (
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
from compiler.language.layers.attention import MultiHeadAttention, PositionalEncoding, PositionEmbedding
from compiler.language.layers.base import Add, Forward, Layer, Node, Parameter
from compiler.language.layers.batch_normalization import BatchNormalization
from compiler.language.layers.convolution import Conv1D, Conv2D, DepthwiseConv2D, SeparableConv2D
from compiler.language.layers.dense import Dense
from compiler.language.layers.embedding import Embedding, Unembedding
from compiler.language.layers.formula import Formula
from compiler.language.layers.masking import Masking, Unmasked
from compiler.language.layers.merging import Concatenate
from compiler.language.layers.normalization import GroupNormalization, LayerNormalization, RMSNormalization
from compiler.language.layers.pointwise import Pointwise
from compiler.language.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    MaxPool1D,
    MaxPool2D,
)
from compiler.language.layers.recurrent import GRU, LSTM, Bidirectional, SimpleRNN
from compiler.language.layers.regularization import Dropout
from compiler.language.layers.resizing import (
    Cropping1D,
    Cropping2D,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from compiler.language.layers.shaping import Flatten, Input, Permute, Rescaling, Reshape
from compiler.language.layers.transposed import Conv1DTranspose, Conv2DTranspose

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
    "Bidirectional",
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
    "Masking",
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
    "SimpleRNN",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unembedding",
    "Unmasked",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
]
