"""Tables as compiled programs take them: padded to a few shared lengths, with a mask of the runs that are real."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.base import platforms

FINE_ABOVE = 4096


def padded_length(n: int) -> int:
    """The next of 32, 64, 128, 256, 384, 512, 768, ...: few shapes, since each costs a compilation and its memory.

    Above `FINE_ABOVE` by eighths of a power of two: there a compilation costs less than rows that are padding, of which
    there are at most an eighth.
    """
    if n > FINE_ABOVE:
        step = 2 ** (int(n - 1).bit_length() - 4)
        return int(-(-n // step) * step)
    size = 32
    while size < n:
        if size >= 256 and size * 3 // 2 >= n:
            return size * 3 // 2
        size *= 2
    return size


@dataclass(frozen=True, eq=False)
class Table:
    """One data set as a program takes it: columns padded to a shared length, and the mask of real runs.

    `data[name]` and `mask` have dims (padded run,); `n` runs are real. A column of zeros is one zero, a scalar: with
    standard errors that are not known, the compiler takes the scale of the noise out of the sum over runs, and a
    gradient costs a quarter less.
    """

    data: Mapping[str, Any]
    mask: Any
    n: int

    @classmethod
    def padded(cls, frame: Mapping[str, np.ndarray], length: int | None = None) -> Table:
        """Padded to `length`, or to the next shared length: members of a fleet share one, and so one program."""
        n = len(next(iter(frame.values())))
        extra = (length or padded_length(n)) - n
        data = {name: np.pad(np.asarray(v, float), (0, extra), mode="edge") for name, v in frame.items()}
        data = {name: v if v.any() else np.zeros(()) for name, v in data.items()}
        return cls(data, np.pad(np.ones(n), (0, extra)), n).placed()

    @property
    def shape(self) -> tuple[int, frozenset[str]]:
        """Padded rows, and which columns are one zero: tables that share it share compiled programs."""
        return len(self.mask), frozenset(name for name, v in self.data.items() if not np.ndim(v))

    def placed(self) -> Table:
        """On the device that a table of this length is worked on by; the same where there is only the processor."""
        place = platforms.home(len(self.mask))
        if place is None:
            return self
        import jax

        data, mask = jax.device_put((dict(self.data), self.mask), place)
        return Table(data, mask, self.n)

    def thinned(self, names: Iterable[str], n: int, seed: int) -> Table:
        """`n` of the runs, drawn at random; columns other than `names`, and scalars, have no rows and stay as they
        are."""
        chosen = np.sort(np.random.default_rng([seed, 53]).choice(self.n, n, replace=False))
        rows = {name: np.asarray(self.data[name])[chosen] for name in names if np.ndim(self.data[name])}
        return Table({**self.data, **rows}, np.ones(n), n).placed()
