"""Bytes with their checksum behind them: what was damaged is known before anything reads it.

A seal is the last 55 bytes of a file. netCDF-4 and zip archives end before it, so other programs read them as ever.
"""

from __future__ import annotations

import hashlib

from bayes_scaling.base.errors import DataError

_MARK = b"\nbayes-scaling sha256 1\n"
_LENGTH = len(_MARK) + 32


class DamagedError(DataError):
    """The bytes are not those that were sealed."""


def seal(data: bytes | memoryview) -> bytes:
    """`data` and its checksum."""
    return b"".join((data, _MARK, hashlib.sha256(data).digest()))


def unseal(data: bytes) -> tuple[memoryview, bool]:
    """The bytes that were sealed, and whether there was a seal: what older versions wrote has none.

    Raises
    ------
    DamagedError
        If there is a seal and the bytes are not those it was made of.
    """
    whole = memoryview(data)
    if len(data) < _LENGTH or bytes(whole[-_LENGTH:-32]) != _MARK:
        return whole, False
    inner = whole[:-_LENGTH]
    if hashlib.sha256(inner).digest() != bytes(whole[-32:]):
        raise DamagedError("Its checksum does not hold: it was damaged or changed after it was written.")
    return inner, True
