"""Other notations of mathematics, and how the formula language writes what they say.

Tables, and the one way to look a function up. Read when a formula is wrong, to say what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

CHARACTERS = {
    **dict.fromkeys("×·⋅∗•", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("−–—", "-"),
    **{"≤": "<=", "⩽": "<=", "≥": ">=", "⩾": ">=", "≠": "!="},
    **{"∧": " and ", "∨": " or ", "¬": " not "},
    **dict.fromkeys("←≔", "="),
    **{"∑": "sum", "∏": "prod", "√": "sqrt ", "∞": "inf", "…": "..."},
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
}
"""Characters that Python's parser does not know, or takes for something else."""
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
FRACTIONS = {"½": "(1/2)", "¼": "(1/4)", "¾": "(3/4)", "⅓": "(1/3)", "⅔": "(2/3)", "⅛": "(1/8)"}

OPERATORS = {
    **{"^": "**", "&&": "and", "||": "or", "&": "and", "!": "not"},
    **{"<>": "!=", "=>": ">=", "=<": "<=", ":=": "="},
}
"""Operators of other languages, by how they are written here."""

NAMES = {
    **{"π": "pi", "Pi": "pi", "PI": "pi", "e": "exp(1)", "E": "exp(1)"},
    **{"Σ": "sum[…](…)", "Π": "prod[…](…)"},
}
"""Names of numbers."""

FUNCTIONS: dict[str, tuple[str, ...]] = {
    **{"ln": ("log({0})",), "lg": ("log({0})/log(10)",), "log10": ("log({0})/log(10)",)},
    **{"log2": ("log({0})/log(2)",), "log1p": ("log(1 + {0})",), "expm1": ("exp({0}) - 1",)},
    **{"exp2": ("2**{0}",), "exp10": ("10**{0}",)},
    **dict.fromkeys(("pow", "power"), ("", "{0}**{1}")),
    **dict.fromkeys(("square", "sqr"), ("{0}**2",)),
    **{"cube": ("{0}**3",), "cbrt": ("sign({0})*abs({0})**(1/3)",), "rsqrt": ("1/sqrt({0})",)},
    **{"reciprocal": ("1/{0}",), "hypot": ("", "sqrt({0}**2 + {1}**2)")},
    **{"tg": ("tan({0})",), "cot": ("1/tan({0})",), "sec": ("1/cos({0})",), "csc": ("1/sin({0})",)},
    **{"sh": ("sinh({0})",), "ch": ("cosh({0})",), "th": ("tanh({0})",)},
    **{"sech": ("1/cosh({0})",), "csch": ("1/sinh({0})",), "coth": ("1/tanh({0})",)},
    **{f"{arc}{name}": (f"a{name}({{0}})",) for arc in ("arc", "Arc") for name in ("sin", "cos", "tan")},
    **dict.fromkeys(("asinh", "arcsinh", "arsinh"), ("log({0} + sqrt({0}**2 + 1))",)),
    **dict.fromkeys(("acosh", "arccosh", "arcosh"), ("log({0} + sqrt({0}**2 - 1))",)),
    **dict.fromkeys(("atanh", "arctanh", "artanh"), ("log((1 + {0})/(1 - {0}))/2",)),
    **dict.fromkeys(("fabs", "absolute"), ("abs({0})",)),
    **dict.fromkeys(("sgn", "signum"), ("sign({0})",)),
    **{"root": ("sqrt({0})", "{0}**(1/{1})")},
    **{"maximum": ("", "max({0}, {1})"), "minimum": ("", "min({0}, {1})")},
    **dict.fromkeys(("fmax",), ("", "max({0}, {1})")),
    **dict.fromkeys(("fmin",), ("", "min({0}, {1})")),
    **dict.fromkeys(("clip", "clamp"), ("", "", "min(max({0}, {1}), {2})")),
    **dict.fromkeys(("where", "ifelse", "iif", "select"), ("", "", "{1} if {0} else {2}")),
    **dict.fromkeys(("heaviside", "step"), ("1 if {0} > 0 else 0",)),
    **dict.fromkeys(("sigmoid", "sigma", "σ", "logistic", "expit"), ("1/(1 + exp(-{0}))",)),
    **{"logit": ("log({0}/(1 - {0}))",), "softplus": ("log(1 + exp({0}))",)},
    **{"relu": ("max({0}, 0)",), "relu6": ("min(max({0}, 0), 6)",)},
    **dict.fromkeys(("silu", "swish"), ("{0}/(1 + exp(-{0}))",)),
    **{"gelu": ("{0}*(1 + erf({0}/sqrt(2)))/2",), "elu": ("{0} if {0} > 0 else exp({0}) - 1",)},
    **{"gaussian": ("exp(-{0}**2)",), "sinc": ("sin({0})/{0}",)},
}
"""Functions of other languages, by how they are written here with one argument, with two, with three."""

FUNCTIONS_OVER_AXES = {
    "softmax": "exp(x[b, i])/sum[k](exp(x[b, k]))",
    "logsoftmax": "x[b, i] - log(sum[k](exp(x[b, k])))",
    "log_softmax": "x[b, i] - log(sum[k](exp(x[b, k])))",
    "logsumexp": "log(sum[i](exp(x[b, i])))",
    "amax": "max[i](x[b, i])",
    "amin": "min[i](x[b, i])",
    "average": "mean[i](x[b, i])",
    "avg": "mean[i](x[b, i])",
    "product": "prod[i](x[b, i])",
    **dict.fromkeys(("dot", "inner", "vdot"), "sum[i](w[i]*x[b, i])"),
    "norm": "sqrt(sum[i](x[b, i]**2))",
    "matmul": "sum[i](x[b, i]*kernel[i, o])",
}
"""Functions of whole arrays, by an example of what says the same in indices."""


def written_here(function: str, arguments: Sequence[str]) -> str | None:
    """A call of another language's function as the formula language writes it, None for an unknown one."""
    if function in FUNCTIONS_OVER_AXES:
        return FUNCTIONS_OVER_AXES[function]
    if axes := re.fullmatch(r"(sum|prod|max|min|mean)_(\w+)", function):
        return f"{axes[1]}[{axes[2]}]({', '.join(arguments)})"
    forms = FUNCTIONS.get(function, ())
    form = forms[len(arguments) - 1] if 0 < len(arguments) <= len(forms) else ""
    return re.sub(r"\{(\d)\}", lambda found: _put(arguments[int(found[1])], found), form) or None


def _put(argument: str, found: re.Match[str]) -> str:
    """An argument where the form has it, in parentheses where an operator would take a part of it."""
    before, behind = found.string[: found.start()].rstrip(), found.string[found.end() :].lstrip()
    beside_operator = before[-1:] in tuple("*/+-") or behind[:1] in tuple("*/+-")
    single = re.fullmatch(r"[\w.]+(\[[^\[\]]*\]|\([^()]*\))?", argument)
    return f"({argument})" if beside_operator and not single else argument
