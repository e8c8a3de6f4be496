"""A thread that works ahead of its consumer."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _End:
    """The last thing that a producer sends, with its exception if it had one."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetched(items: Iterator[T], depth: int) -> Iterator[T]:
    """Draw items in a thread that stays at most ``depth`` ahead; same items, same order.

    An exception in the thread is raised here in its turn. Closing the result, or dropping it, stops
    the thread and waits for it. With depth 0 there is no thread.
    """
    if depth <= 0:
        yield from items
        return
    results: SimpleQueue[T | _End] = SimpleQueue()
    slots = threading.Semaphore(depth)
    stop = threading.Event()

    def produce() -> None:
        error: BaseException | None = None
        try:
            while slots.acquire() and not stop.is_set():
                results.put(next(items))
        except StopIteration:
            pass
        except BaseException as raised:  # noqa: BLE001 (it is raised again by the consumer)
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            results.put(_End(error))

    thread = threading.Thread(target=produce, name="auscult-prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := results.get(), _End):
            slots.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        slots.release()
        thread.join()
