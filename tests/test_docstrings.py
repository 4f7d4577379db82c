"""Every public function says what it does, and the public interface says what it takes, gives and raises."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import bayes_scaling

# The functions of a law's file have one meaning in all of them, which `ScalingLaw` tells.
APART = ("bayes_scaling.__main__", "bayes_scaling._version", "bayes_scaling.models.")
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(bayes_scaling.__path__, "bayes_scaling.")
    if not info.name.startswith(APART)
)


def public(module):
    """(name, object) of functions and classes that the module defines, and of the classes' methods and properties."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        value = inspect.unwrap(value) if callable(value) else value
        if inspect.isfunction(value):
            if value.__name__ != "<lambda>":
                yield name, value
        elif inspect.isclass(value):
            yield name, value
            for member, inner in vars(value).items():
                if not member.startswith("_") and isinstance(inner, RESOLVED):
                    yield f"{name}.{member}", getattr(value, member)


RESOLVED = (type(lambda: 0), property, staticmethod, classmethod)


def told(value) -> bool:
    """Whether it has a docstring: its own, or for a method that of the method it overrides."""
    if inspect.isclass(value):
        own = value.__doc__ or ""
        return bool(own) and not own.startswith(f"{value.__name__}(")  # a dataclass writes its signature itself
    return bool(inspect.getdoc(value))


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_a_docstring(name):
    module = importlib.import_module(name)
    assert module.__doc__, name
    silent = [what for what, value in public(module) if not told(value)]
    assert not silent, f"{name}: without a docstring: {', '.join(silent)}"


# What every verb takes, and `fit` explains; and what needs no word.
SHARED = {
    *("runs", "noise", "priors", "draws", "chains", "warmup", "target_accept", "random_seed", "ci_prob", "cache"),
    *("progressbar", "path", "compute"),
}


@pytest.mark.parametrize("name", [n for n in bayes_scaling.__all__ if inspect.isfunction(getattr(bayes_scaling, n))])
def test_public_functions_say_what_they_take_and_raise(name):
    """Numpydoc sections: parameters that are not the keywords every verb shares, and the errors raised on purpose."""
    function = getattr(bayes_scaling, name)
    text = inspect.getdoc(function)
    takes = [p for p in inspect.signature(function).parameters if p not in SHARED]
    missing = [p for p in takes if f"`{p}`" not in text and p not in _names(text)]
    assert not missing, f"{name}: {missing} are not explained"
    assert "Raises\n------" in text, f"{name} does not say what it raises"


def _names(text: str) -> set[str]:
    """Names of the section Parameters."""
    _, found, rest = text.partition("Parameters\n----------\n")
    body = rest.split("\n\nRaises")[0].split("\n\nReturns")[0] if found else ""
    return {n.strip() for line in body.splitlines() if line and not line.startswith(" ") for n in line.split(",")}
