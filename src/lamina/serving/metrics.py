"""What an operator sees: counts, queues and times, as Prometheus reads them; never a word of what clients sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 16384, 65536)


class Metrics:
    """The metrics of one application, in a registry of its own so that several can live in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = self._counter("requests", "Requests answered.", "route", "status")
        self._refused = self._counter("refused", "Requests refused.", "reason")
        self._dropped = self._counter("dropped", "Rows dropped since nobody waited.", "model")
        self._failures = self._counter("batch_failures", "Batches that failed as a whole.", "model", "reason")
        self._tokens = self._counter("tokens", "Tokens read and written.", "model", "kind")
        self._writing = Gauge("lamina_sequences_running", "Sequences being written.", ["model"], registry=self.registry)
        self._request_seconds = self._histogram("request_seconds", "From a request to its last byte.", "route")
        self._queue_seconds = self._histogram("queue_seconds", "From a request to its first pass.")
        self._batch_seconds = self._histogram("batch_seconds", "Time of a pass.")
        self._batches = self._histogram("batch_rows", "Rows of a pass.", buckets=ROWS)
        self._batch_tokens = self._histogram("batch_tokens", "Tokens of a pass.", buckets=TOKENS)
        self._first_token = self._histogram("time_to_first_token_seconds", "From a request to its first token.")
        self._between = self._histogram("inter_token_seconds", "From one token of a sequence to the next.")

        self._child = cache(_labelled)  # finding one by its labels takes longer than counting

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"lamina_{name}", help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, label: str = "model", buckets: Sequence[float] = SECONDS) -> Histogram:
        return Histogram(f"lamina_{name}", help, [label], buckets=buckets, registry=self.registry)

    def watch(self, name: str, help: str, value: Callable[[], float]) -> None:
        """A gauge that is asked when somebody looks."""
        Gauge(name, help, registry=self.registry).set_function(value)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request is answered, to its last byte."""
        self._child(self._requests, route, str(status)).inc()
        self._child(self._request_seconds, route).observe(seconds)

    def refused(self, reason: str) -> None:
        """A request was not let in."""
        self._child(self._refused, reason).inc()

    def waited(self, model: str, seconds: float, read: int) -> None:
        """A request has left the queue and its tokens were read."""
        self._child(self._queue_seconds, model).observe(seconds)
        self._child(self._tokens, model, "read").inc(read)

    def batch(self, model: str, rows: int, tokens: int, seconds: float) -> None:
        self._child(self._batches, model).observe(rows)
        self._child(self._batch_tokens, model).observe(tokens)
        self._child(self._batch_seconds, model).observe(seconds)

    def wrote(self, model: str) -> None:
        self._child(self._tokens, model, "written").inc()

    def running(self, model: str, sequences: Callable[[], float]) -> None:
        """How many sequences of a model are being written, asked when somebody looks."""
        self._child(self._writing, model).set_function(sequences)

    def token(self, model: str, seconds: float, first: bool) -> None:
        """One token of one sequence, so many seconds after the request or the token before."""
        self._child(self._first_token if first else self._between, model).observe(seconds)

    def dropped(self, model: str, rows: int) -> None:
        """Rows that nobody waited for any more."""
        self._child(self._dropped, model).inc(rows)

    def failed(self, model: str, reason: str) -> None:
        """A batch had to be taken apart."""
        self._child(self._failures, model, reason).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)


def _labelled(metric: Any, *labels: str) -> Any:
    """The one of a metric's counters that has these labels."""
    return metric.labels(*labels)
