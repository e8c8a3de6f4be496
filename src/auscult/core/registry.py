"""Registries: one name, one class, one file. Built-ins are the files of a folder.

Others come by entry point.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from auscult.core.config import Config, parse
from auscult.core.errors import ConfigError, InvariantError, UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """The named implementations of one kind of thing.

    A name is registered by a decorator in a module of ``package``; the modules are imported at the
    first look-up, so that adding one is adding a file. Packages outside register through the
    entry-point group of the same name (``auscult.models``, ``auscult.dictionaries``, …), loaded
    when their name is asked for.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._classes: dict[str, type[T]] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Register the decorated class; a name is given once."""

        def decorate(cls: type[T]) -> type[T]:
            known = self._classes.get(name)
            # A module imported twice under one name (by a test runner) defines its class again.
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise InvariantError(f"{self.kind} {name!r} is registered by {known} and {cls}")
            self._classes[name] = cls
            cls.registered_name = name  # type: ignore[attr-defined]
            return cls

        return decorate

    def names(self) -> list[str]:
        """All names, built-in and from outside, sorted."""
        self._import_built_ins()
        return sorted({*self._classes, *(point.name for point in entry_points(group=self.package))})

    def get(self, name: str) -> type[T]:
        """Look a class up.

        Raises:
            UnknownNameError: Nothing has this name; the nearest names are listed.
        """
        self._import_built_ins()
        if name not in self._classes:
            for point in entry_points(group=self.package, name=name):
                self._classes[name] = point.load()
        if name not in self._classes:
            raise UnknownNameError(self.kind, name, self.names())
        return self._classes[name]

    def parse(self, section: Mapping[str, Any], where: str) -> tuple[type[T], Config]:
        """Read a section such as ``{"type": "topk", "k": 8}`` into the class and its parameters.

        Raises:
            ConfigError: The type is missing, or a parameter is unknown or of the wrong type.
        """
        rest = dict(section)
        name = rest.pop("type", None)
        if not isinstance(name, str):
            raise ConfigError(f"{where} needs a type, one of {', '.join(self.names())}")
        cls = self.get(name)
        params: type[Config] = cls.Params  # type: ignore[attr-defined]
        return cls, parse(params, rest, f"{where} (type {name!r})")

    def _import_built_ins(self) -> None:
        if self._complete:
            return
        self._complete = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.ispkg and not module.name.startswith("_"):
                importlib.import_module(f"{self.package}.{module.name}")
