"""`from chainrule.testing import assert_gradients`: evidence for gradients that you wrote, anywhere.

In: nothing. Out: what is made in `compiler.tools.testing`. No logic may enter.
"""

from compiler.tools.testing.api import assert_gradients as assert_gradients
