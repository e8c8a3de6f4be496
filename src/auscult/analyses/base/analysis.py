"""The question itself: its parameters, its controls, how it is answered and how it is shown."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from auscult.analyses.base.context import Condition, Context
from auscult.analyses.base.result import Result
from auscult.blocks import Block
from auscult.core.config import Config
from auscult.core.registry import Registry

ANALYSES: Registry["Analysis"] = Registry("analysis", "auscult.analyses")


class Analysis(ABC):
    """A question put to a model.

    Attributes:
        title: Heading of its page.
        question: What it asks, as a sentence that ends in a question mark.
        source: Paper and section.
        version: Raised when results change, so that finished runs are computed again.
    """

    registered_name: ClassVar[str] = ""
    Params: ClassVar[type[Config]] = Config
    title: ClassVar[str]
    question: ClassVar[str]
    source: ClassVar[str] = ""
    version: ClassVar[int] = 1

    @classmethod
    @abstractmethod
    def controls(cls, params: Any) -> tuple[Condition, ...]:
        """The conditions, beside the base one, that must be recorded for it."""

    @abstractmethod
    def run(self, context: Context, params: Any) -> Result:
        """Answer the question."""

    @abstractmethod
    def view(self, result: Result) -> list[Block]:
        """Show the answer: findings first."""
