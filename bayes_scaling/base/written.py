"""What a function is, as a hash of how it is written: its code, its constants, and everything they reach.

Two functions of one name may compute different things, and one function another thing tomorrow, when a number that it
looks up has changed. So not the name is told but the byte code with its constants, defaults, closure and globals,
through every function, class and object that these lead to. What belongs to Python or to a package whose version is
told elsewhere (`provenance.versions`) counts by name.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import sys
import types
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.base.provenance import versions

# More objects than any formula leads to: what reaches so far has run into a package.
MOST = 4000
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range)


@dataclass(frozen=True)
class Written:
    """What was found.

    Parameters
    ----------
    digest
        Equal for two values only if all that was found of them is equal; the same in every process.
    complete
        Whether that is everything: False where something is code of another language, or an object without fields.
    """

    digest: str
    complete: bool


def written(*values: Any) -> Written:
    """How `values` (functions, or anything that they may hold) are written."""
    teller = _Teller()
    try:
        return Written(teller.digest(tuple(values)).hex(), teller.complete)
    except RecursionError:
        return Written("deeper than can be followed", False)


def _named(module: str | None) -> bool:
    """Whether what a module holds is known by its name."""
    parts = (module or "").split(".")
    if parts[0] == "bayes_scaling":  # its source is told as a whole, but for the laws
        return parts[1:2] != ["models"]
    return (parts[0] in sys.stdlib_module_names and parts[0] != "__main__") or parts[0] in versions()


class _Teller:
    """Walks through values and hashes what they are."""

    def __init__(self) -> None:
        self.complete = True
        self._hash = hashlib.sha256()
        # By address; the values are kept, so that no other comes to lie there meanwhile.
        self._done: dict[int, tuple[bytes, Any]] = {}
        self._open: dict[int, int] = {}

    def digest(self, value: Any) -> bytes:
        """A hash of one value. It follows from what the value leads to, not from which parts are one object: that
        differs between code just compiled and code that was read."""
        if type(value) in _PLAIN:
            return _hash(type(value).__name__, repr(value))
        if id(value) in self._done:
            return self._done[id(value)][0]
        if id(value) in self._open:
            return _hash("inside", len(self._open) - self._open[id(value)])
        if len(self._done) > MOST:
            self.complete = False
            return b""
        outer, self._hash = self._hash, hashlib.sha256()
        self._open[id(value)] = len(self._open)
        self.say(type(value).__module__, type(value).__qualname__)
        self._inside(value)
        found, self._hash = self._hash.digest(), outer
        del self._open[id(value)]
        self._done[id(value)] = found, value
        return found

    def tell(self, value: Any) -> None:
        self.say(self.digest(value))

    def say(self, *words: Any) -> None:
        _say(self._hash, *words)

    def _inside(self, value: Any) -> None:
        match value:
            case types.FunctionType():
                self._function(value)
            case types.CodeType():
                self._code(value)
            case types.MethodType():
                self.each(value.__self__, value.__func__)
            case types.ModuleType():
                self.say(value.__name__)
                self.complete &= _named(value.__name__)
            case types.BuiltinFunctionType() | types.MethodDescriptorType() | types.WrapperDescriptorType():
                self.say(value.__qualname__, getattr(value, "__module__", ""))
                bound = getattr(value, "__self__", None)
                if bound is not None and not isinstance(bound, types.ModuleType):
                    self.tell(bound)
            case type():
                self._class(value)
            case tuple() | list():
                self.each(len(value), *value)
                self._rest(value, tuple, list)
            case dict() | types.MappingProxyType():
                self.each(len(value), *(part for item in value.items() for part in item))
                self._rest(value, dict, types.MappingProxyType)
            case set() | frozenset():
                found = [written(item) for item in value]
                self.say(*sorted(item.digest for item in found))
                self.complete &= all(item.complete for item in found)
                self._rest(value, set, frozenset)
            case types.SimpleNamespace():
                self.tell(vars(value))
                self._rest(value, types.SimpleNamespace)
            case functools.partial():
                self.each(value.func, value.args, value.keywords)
            case staticmethod() | classmethod():
                self.tell(value.__func__)
            case property():
                self.each(value.fget)
            case types.CellType():
                self._cell(value)
            case np.ufunc():
                self.say(value.__name__)
            case _:
                self._object(value)

    def each(self, *values: Any) -> None:
        for value in values:
            self.tell(value)

    def _function(self, value: types.FunctionType) -> None:
        self.say(value.__module__, value.__qualname__)
        if not _named(value.__module__):
            self.each(value.__code__, value.__defaults__, value.__kwdefaults__)
            self._globals(value)
        # A function of a package may have been handed one of the user's.
        for cell in value.__closure__ or ():
            self.tell(cell)
        self.tell(vars(value))

    def _cell(self, cell: types.CellType) -> None:
        try:
            content = cell.cell_contents
        except ValueError:  # not filled yet
            return
        self.tell(content)

    def _code(self, code: types.CodeType) -> None:
        self.say(code.co_code, code.co_exceptiontable, code.co_flags, code.co_argcount, code.co_kwonlyargcount)
        self.each(code.co_names, code.co_varnames, code.co_freevars, code.co_consts)

    def _globals(self, function: types.FunctionType) -> None:
        """The values of the global names that a function, or one inside it, mentions; of modules, what it takes."""
        names, imported = _mentioned(function.__code__)
        # What is imported by itself, from the user's own modules, is found only when it runs.
        self.complete &= all(map(_named, imported))
        for name in sorted(names):
            if name not in function.__globals__:
                if not hasattr(builtins, name):
                    self.say("elsewhere", name)
                continue
            value = function.__globals__[name]
            self.say(name)
            if isinstance(value, types.ModuleType):
                self._module(value, names)
            else:
                self.tell(value)

    def _module(self, value: types.ModuleType, names: frozenset[str]) -> None:
        """Of a module, what `names` take from it."""
        self.say(value.__name__)
        if _named(value.__name__):
            return
        for name in sorted(names & set(vars(value))):
            inner = vars(value)[name]
            self.say(name)
            if not isinstance(inner, types.ModuleType):
                self.tell(inner)
            elif inner.__name__.startswith(f"{value.__name__}."):
                self._module(inner, names)

    def _class(self, value: type) -> None:
        self.say(value.__module__, value.__qualname__)
        if _named(value.__module__):
            return
        self.each(*value.__bases__)
        for name, item in sorted(vars(value).items()):
            # Where a field lies is not what is in it.
            if name not in _ASIDE and not isinstance(item, types.MemberDescriptorType | types.GetSetDescriptorType):
                self.say(name)
                self.tell(item)

    def _object(self, value: Any) -> None:
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value)
        if type(value).__module__.partition(".")[0] in ("functools", "jaxlib") and hasattr(value, "__wrapped__"):
            self.complete = (
                False  # a function under `jax.jit` or `functools.cache`; it may have been given another's name
            )
            return self.tell(value.__wrapped__)
        if type(value).__module__.startswith("jaxlib"):
            try:
                return self._array(np.asarray(value))
            except Exception:  # an object of JAX's that is no array
                self.complete = False
                return None
        return self._rest(value, object)

    def _array(self, value: Any) -> None:
        self.say(value.dtype.str, value.shape, value.tobytes())
        self.complete &= value.dtype != object

    def _rest(self, value: Any, *looked_at: type) -> None:
        """The class of an object and its fields, where its own kind, if one of `looked_at`, has been told."""
        if type(value) in looked_at:
            self.complete &= type(value) is not object
            return
        self.tell(type(value))
        for base in type(value).__mro__:
            self.complete &= base in (object, *looked_at) or _python(base)
        fields: dict[str, Any] = dict(getattr(value, "__dict__", {}))
        slots = [name for base in type(value).__mro__ for name in _slots(base)]
        fields |= {name: getattr(value, name) for name in slots if hasattr(value, name)}
        self.tell(fields)


# Of a class: what says where it stands, not what it does.
_ASIDE = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__annotate_func__"}
_ASIDE |= {"__firstlineno__", "__static_attributes__", "__dataclass_fields__", "__dataclass_params__"}
_ASIDE |= {"__abstractmethods__", "_abc_impl"}
_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def _python(cls: type) -> bool:
    """Whether a class statement made it: others may hold what no field shows. As `copyreg` tells them apart."""
    new = cls.__new__
    return bool(cls.__flags__ & _HEAP) and not (isinstance(new, types.BuiltinFunctionType) and new.__self__ is cls)


def _say(to: Any, *words: Any) -> None:
    for word in words:
        part = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
        to.update(len(part).to_bytes(8) + part)


def _hash(*words: Any) -> bytes:
    found = hashlib.sha256()
    _say(found, *words)
    return found.digest()


def _slots(cls: type) -> tuple[str, ...]:
    named = vars(cls).get("__slots__", ())
    return (named,) if isinstance(named, str) else tuple(n for n in named if n not in ("__dict__", "__weakref__"))


@functools.lru_cache(4096)
def _mentioned(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Names that code, or code inside it, looks up, and modules that it imports; relative ones as they are written."""
    names, imported = set(code.co_names), set()
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            imported.add(str(step.argval))
    for item in code.co_consts:
        if isinstance(item, types.CodeType):
            inner = _mentioned(item)
            names |= inner[0]
            imported |= inner[1]
    return frozenset(names), frozenset(imported)
