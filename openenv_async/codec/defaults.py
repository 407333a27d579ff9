"""Dataclass fields that a message left out.

msgspec's decoder leaves such a field to the class: reading it finds the default, but
the object's `__dict__`, which encoders read, lacks it, and the value would travel
on without the field. A filler, planned once per class, writes it there; classes
without such dataclasses have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import inspect

Fill = Callable[[Any], None]


def filler_of(cls: Any) -> Fill | None:
    """Plan a class's filler."""
    try:
        info = inspect.type_info(cls)
    except Exception:
        # A class that msgspec reads and cannot describe: as it decodes, so it stays.
        return None
    return _Planner().plan(info)


class _Planner:
    def __init__(self) -> None:
        self._open: dict[type, _Object] = {}

    def plan(self, info: inspect.Type) -> Fill | None:
        if isinstance(info, (inspect.DataclassType, inspect.StructType)):
            return self._object(info)
        if isinstance(info, (inspect.CollectionType, inspect.DictType)):
            item = self.plan(info.value_type if isinstance(info, inspect.DictType) else info.item_type)
            return _each(item) if item is not None else None
        if isinstance(info, inspect.TupleType):
            return _places([self.plan(item) for item in info.item_types])
        if isinstance(info, inspect.UnionType):
            return self._either(info.types)
        return None

    def _object(self, info: inspect.DataclassType | inspect.StructType) -> Fill | None:
        if (known := self._open.get(info.cls)) is not None:
            return known
        fields = {field.name: field for field in info.fields}
        kept = isinstance(info, inspect.DataclassType) and "__slots__" not in vars(info.cls)
        plain = [n for n, f in fields.items() if kept and not f.required and f.default is not msgspec.NODEFAULT]
        made = self._open[info.cls] = _Object(plain)
        for name, field in fields.items():
            inner = self.plan(field.type)
            if inner is not None:
                made.inner.append((name, inner))
        return made if made.needed(set()) else None

    def _either(self, types: Iterable[inspect.Type]) -> Fill | None:
        arms: dict[type, Fill] = {}
        for info in types:
            fill = self.plan(info)
            if fill is not None:
                arms[_class_of(info)] = fill

        def fill_arm(value: Any) -> None:
            arm = arms.get(type(value))
            if arm is not None:
                arm(value)

        return fill_arm if arms else None


class _Object:
    """The filler of one dataclass or Struct; may contain itself."""

    def __init__(self, plain: list[str]) -> None:
        self.plain = plain
        self.inner: list[tuple[str, Fill]] = []

    def needed(self, seen: set[int]) -> bool:
        """Whether it has anything to do besides calling itself."""
        if id(self) in seen:
            return False
        seen.add(id(self))
        return bool(self.plain) or any(not isinstance(f, _Object) or f.needed(seen) for _, f in self.inner)

    def __call__(self, value: Any) -> None:
        if self.plain:
            fields = value.__dict__
            for name in self.plain:
                if name not in fields:
                    fields[name] = getattr(value, name)
        for name, fill in self.inner:
            inside = getattr(value, name)
            if inside is not None and inside is not msgspec.UNSET:
                fill(inside)


def _each(fill: Fill) -> Fill:
    def fill_all(value: Any) -> None:
        for item in value.values() if isinstance(value, dict) else value:
            fill(item)

    return fill_all


def _places(fills: list[Fill | None]) -> Fill | None:
    if not any(fills):
        return None

    def fill_places(value: Any) -> None:
        for fill, item in zip(fills, value, strict=False):
            if fill is not None:
                fill(item)

    return fill_places


def _class_of(info: inspect.Type) -> type:
    if isinstance(info, (inspect.DataclassType, inspect.StructType)):
        return info.cls
    if isinstance(info, inspect.DictType):
        return dict
    kinds: dict[type, type] = {inspect.ListType: list, inspect.SetType: set, inspect.FrozenSetType: frozenset}
    return kinds.get(type(info), tuple)
