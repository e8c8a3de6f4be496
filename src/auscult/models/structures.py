"""What a module may pass on: a tensor, a tuple, a list, a dictionary, a model output.

Find and replace the first tensor.
"""

import copy
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def first_tensor(value: Any) -> Tensor | None:
    """The first tensor, depth first; of an LSTM's ``(output, (h, c))`` the output.

    None without one.
    """
    if isinstance(value, Tensor):
        return value
    for _, item in _items(value):
        found = first_tensor(item)
        if found is not None:
            return found
    return None


def with_first_tensor(value: Any, tensor: Tensor) -> Any:
    """The same structure with its first tensor replaced; the original stays as it is."""
    if isinstance(value, Tensor):
        return tensor
    for key, item in _items(value):
        if first_tensor(item) is not None:
            return _with_item(value, key, with_first_tensor(item, tensor))
    return value


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple | list):
        return list(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    return []


def _with_item(value: Any, key: Any, item: Any) -> Any:
    if isinstance(value, Mapping):
        changed = copy.copy(value)
        changed[key] = item  # type: ignore[index]
        return changed
    if isinstance(value, tuple | list):
        items = [item if index == key else old for index, old in enumerate(value)]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return replace(value, **{key: item})
