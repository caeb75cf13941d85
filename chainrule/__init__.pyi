from compiler import *
from compiler.toolchain.from_python import compile as compile

__version__: str
