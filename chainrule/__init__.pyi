from compiler import *
from compiler.toolchain.from_python import compile as compile
