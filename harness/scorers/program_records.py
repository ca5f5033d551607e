"""Decodes what a sandboxed program left: untrusted bytes, so only numbers, texts and containers come out of them."""

import io
import pickle
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from harness.scorers.sandbox_program import RECORD

NUMPY_DEPTH = 64
"""NumPy makes no array of a list nested deeper."""
_NUMPY_TYPE = re.compile(r"[<>|=]?[biufc]\d{1,2}")


class Opaque:
    """A value EvalPlus could only find different from every expected value, and not None."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return False


class Iterated(Opaque):
    """An iterator, known by its elements."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


class Large:
    """A value known by the digest of its encoding only: equal digests mean equal values of equal types."""

    __slots__ = ("digest",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, digest: bytes) -> None:
        self.digest = digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Large) and self.digest == other.digest


_SUBCLASSES = {
    base: type(f"{base.__name__}_subclass", (base,), {"__slots__": ()})
    for base in (int, float, complex, str, bytes, tuple, list, dict, set, frozenset)
}
"""Same values, other type: EvalPlus's tolerance applies only between values of the same type."""


def _fraction(numerator: int, denominator: int) -> Fraction:
    if type(numerator) is not int or type(denominator) is not int:
        raise pickle.UnpicklingError("not a fraction")  # the text 1e999999999 would be one, of a billion digits
    return Fraction(numerator, denominator)


def _numpy_value(kind: str, shape: tuple[int, ...] | None, raw: bytes) -> Any:
    import numpy

    if not _NUMPY_TYPE.fullmatch(kind):
        raise pickle.UnpicklingError("not a number type")
    flat = numpy.frombuffer(raw, dtype=kind)
    return flat[0] if shape is None else flat.reshape(shape)


_KINDS: dict[str, Callable[..., Any]] = {
    "complex": complex,
    "subclass": lambda value: _SUBCLASSES[type(value)](value),
    "numpy": _numpy_value,
    "fraction": _fraction,
    "decimal": Decimal,
    "iterated": Iterated,
    "opaque": Opaque,
}


class _Rebuild:
    """The one thing a pickle of outputs may call. Without attributes, so a pickle cannot change it for the next."""

    __slots__ = ()

    def __call__(self, kind: str, *data: Any) -> Any:
        return _KINDS[kind](*data)


_REBUILD = _Rebuild()


class Decoder(pickle.Unpickler):
    """Unpickler that knows no name but `rebuild`."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse everything else."""
        if name != "rebuild":
            raise pickle.UnpicklingError(f"{name} is not an output")
        return _REBUILD


def is_hollow(value: Any) -> bool:
    """Tell whether a list or array holds no element, however many empty ones it holds.

    NumPy finds such a value close to others, because there is nothing to compare: `[[]]` to every list of one float,
    and before NumPy 2.2 `[numpy.empty((0, 1))] * 3` to every list of three. A ragged list it refuses, so the first
    elements tell.
    """
    for _ in range(NUMPY_DEPTH):
        if not isinstance(value, list | tuple) or not value:
            break
        value = value[0]
    size = getattr(value, "size", None)  # of an array
    return value in ([], (), b"") if size is None else size == 0


class Records:
    """The records of one run, found without decoding them. Reading stops at the first malformed one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.heads: list[tuple[bytes, int, int]] = []
        self.complete = False
        position = 0
        while position + RECORD.size <= len(data):
            kind, size = RECORD.unpack_from(data, position)
            position += RECORD.size
            if position + size > len(data) or self.complete:
                break
            if kind == b".":
                self.complete = True
                self.tail = data[position : position + size]
            elif kind != b"R":
                self.heads.append((kind, position, size))
            position += size

    def kind(self, index: int) -> bytes:
        """Return what record `index` is; empty if there is none."""
        return self.heads[index][0] if index < len(self.heads) else b""

    def payload(self, index: int) -> bytes:
        """Return the bytes of record `index`."""
        _, start, size = self.heads[index]
        return self.data[start : start + size]

    def value(self, index: int) -> Any:
        """Decode the output that record `index` holds; raises for a record that holds none."""
        kind = self.kind(index)
        if kind == b"V":
            return Decoder(io.BytesIO(self.payload(index))).load()
        if kind == b"D":
            return Large(self.payload(index))
        if kind == b"U":
            return Opaque()
        raise LookupError("no output was recorded")
