"""What an operator sees: counts, queues and times, as Prometheus reads them; never a word of what clients sent."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 16384, 65536)


class Metrics:
    """The metrics of one application, in a registry of its own so that several can live in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        kept = self.registry
        self._requests = Counter("lamina_requests", "Requests answered.", ["route", "status"], registry=kept)
        self._request_seconds = Histogram(
            "lamina_request_seconds",
            "From a request to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=kept,
        )
        self._queue_seconds = Histogram(
            "lamina_queue_seconds", "From a request to its first pass.", ["model"], buckets=SECONDS, registry=kept
        )
        self._batches = Histogram("lamina_batch_rows", "Rows of a pass.", ["model"], buckets=ROWS, registry=kept)
        self._batch_tokens = Histogram(
            "lamina_batch_tokens", "Tokens of a pass.", ["model"], buckets=TOKENS, registry=kept
        )
        self._batch_seconds = Histogram(
            "lamina_batch_seconds", "Time of a pass.", ["model"], buckets=SECONDS, registry=kept
        )
        self._tokens = Counter("lamina_tokens", "Tokens read and written.", ["model", "kind"], registry=kept)
        self._refused = Counter("lamina_refused", "Requests refused.", ["reason"], registry=kept)
        self._dropped = Counter("lamina_dropped", "Rows dropped since nobody waited.", ["model"], registry=kept)
        self._failures = Counter(
            "lamina_batch_failures", "Batches that failed as a whole.", ["model", "reason"], registry=kept
        )
        self._writing = Gauge("lamina_sequences_running", "Sequences being written.", ["model"], registry=kept)
        self._first_token = Histogram(
            "lamina_time_to_first_token_seconds",
            "From a request to its first token.",
            ["model"],
            buckets=SECONDS,
            registry=kept,
        )
        self._between = Histogram(
            "lamina_inter_token_seconds",
            "From one token of a sequence to the next.",
            ["model"],
            buckets=SECONDS,
            registry=kept,
        )

    def watch(self, name: str, help: str, value: Callable[[], float]) -> None:
        """A gauge that is asked when somebody looks."""
        Gauge(name, help, registry=self.registry).set_function(value)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request is answered, to its last byte."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """A request was not let in."""
        self._refused.labels(reason).inc()

    def waited(self, model: str, seconds: float, read: int) -> None:
        """A request has left the queue and its tokens were read."""
        self._queue_seconds.labels(model).observe(seconds)
        self._tokens.labels(model, "read").inc(read)

    def batch(self, model: str, rows: int, tokens: int, seconds: float) -> None:
        """A pass of the model."""
        self._batches.labels(model).observe(rows)
        self._batch_tokens.labels(model).observe(tokens)
        self._batch_seconds.labels(model).observe(seconds)

    def wrote(self, model: str) -> None:
        """A token was written."""
        self._tokens.labels(model, "written").inc()

    def running(self, model: str, sequences: int) -> None:
        """So many sequences are being written."""
        self._writing.labels(model).set(sequences)

    def token(self, model: str, seconds: float, first: bool) -> None:
        """One token of one sequence, so many seconds after the request or the token before."""
        (self._first_token if first else self._between).labels(model).observe(seconds)

    def dropped(self, model: str, rows: int) -> None:
        """Rows that nobody waited for any more."""
        self._dropped.labels(model).inc(rows)

    def failed(self, model: str, reason: str) -> None:
        """A batch had to be taken apart."""
        self._failures.labels(model, reason).inc()

    def text(self) -> bytes:
        """Everything, as /metrics shows it."""
        return generate_latest(self.registry)
