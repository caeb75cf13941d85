"""`python -m compiler models/mnist.py` is `chainrule compile models/mnist.py`."""

import sys

from compiler.cli import compile_main

sys.exit(compile_main())
