"""What tests of a server's counts and lines share: a scrape as Prometheus reads it, and a log to wait on."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from support.servers import BOUND_S


class Scrape:
    """One answer of `/metrics`, read by Prometheus' own parser."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, sample: str, **labels: str) -> float:
        """Give one sample; 0 where there is none with these labels, as for a label that never came up."""
        found = [
            each.value
            for family in self.families.values()
            for each in family.samples
            if each.name == sample and each.labels == labels
        ]
        assert len(found) <= 1, (sample, labels)
        return float(found[0]) if found else 0.0

    def buckets(self, name: str, **labels: str) -> list[tuple[float, float]]:
        """Give a histogram's buckets: each bound with its count."""
        return [
            (float(each.labels["le"]), each.value)
            for each in self.families[name].samples
            if each.name == f"{name}_bucket" and labels.items() <= each.labels.items()
        ]


async def scrape(url: str, **headers: str) -> Scrape:
    async with httpx.AsyncClient(timeout=BOUND_S) as client:
        answer = await client.get(f"{url}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scrape(answer.text)


class Lines(logging.Handler):
    """Keeps records, from whatever thread; a test waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.records.append(record)
            self._changed.notify_all()

    def find(self, event: str) -> list[logging.LogRecord]:
        with self._changed:
            return [each for each in self.records if getattr(each, "event", "") == event]

    def until(self, true: Callable[[logging.LogRecord], bool]) -> logging.LogRecord:
        """Return the first record of which it is true. Blocks; call it in a thread where a loop runs."""

        def found() -> logging.LogRecord | None:
            return next((each for each in self.records if true(each)), None)

        with self._changed:
            record = self._changed.wait_for(found, BOUND_S)
        assert record is not None, [each.getMessage() for each in self.records]
        return record


@contextlib.contextmanager
def listening(level: int = logging.DEBUG, name: str = "openenv_async") -> Iterator[Lines]:
    from openenv_async.observe.log_formatters import WHOSE

    logger, lines = logging.getLogger(name), Lines()
    lines.addFilter(WHOSE)
    before = logger.level
    logger.addHandler(lines)
    logger.setLevel(level)
    try:
        yield lines
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before)


def field(record: logging.LogRecord, name: str) -> Any:
    return getattr(record, name, None)
