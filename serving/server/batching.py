"""Dynamic batching: waiting requests are merged into one run of the model.

The settings are the text BatchingParameters of `tensorflow_model_server`. Defaults are upstream's, except that without
allowed sizes batches are padded to the next power of two, since the first run of each new size is slow.
"""

import collections
import concurrent.futures
import os
import threading
import time

import grpc
import numpy as np

from tfgen_serving.errors import ServingError
from tfgen_serving.server.flags import ConfigError

_INVALID, _PRECONDITION = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION


class _Task:
    def __init__(self, feeds, rows, timeout):
        self.feeds, self.rows = feeds, rows
        self.enqueued = time.monotonic()
        self.deadline = None if timeout is None else self.enqueued + timeout
        self.future = concurrent.futures.Future()


class _Queue:
    def __init__(self, servable, fetches):
        self.servable, self.fetches = servable, fetches
        self.tasks = collections.deque()
        self.rows = 0


class Batcher:
    """Merges requests, runs batches in threads and splits the results. A server has one; each signature and input shape has
    its own queue.

    Args:
        parameters: `flags.BatchingParameters`.

    Raises:
        ConfigError: sizes that contradict each other.
    """

    def __init__(self, parameters):
        def value(name, default):
            return getattr(parameters, name).value if parameters.HasField(name) else default

        self.max_size = value("max_batch_size", 1000)
        self.wait = value("batch_timeout_micros", 0) / 1e6
        self.max_queued = value("max_enqueued_batches", 10)
        self.num_threads = threads = value("num_batch_threads", os.cpu_count() or 1)
        self.split_large = value("enable_large_batch_splitting", False)
        self.pad_inputs = parameters.pad_variable_length_inputs
        self.sizes = list(parameters.allowed_batch_sizes)
        if min(self.max_size, self.max_queued, threads) < 1 or self.wait < 0:
            raise ConfigError("max_batch_size, max_enqueued_batches and num_batch_threads must be positive, "
                              "batch_timeout_micros at least 0")  # fmt: skip
        if self.sizes and (self.sizes != sorted(set(self.sizes)) or self.sizes[0] < 1 or self.sizes[-1] != self.max_size):
            raise ConfigError(f"allowed_batch_sizes must increase and end with max_batch_size ({self.max_size}), "
                              f"received {self.sizes}")  # fmt: skip
        self._changed = threading.Condition()
        self._queues = collections.OrderedDict()
        self._stopped = False
        self._threads = [threading.Thread(target=self._work, name=f"batch-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Runs the queued requests, then ends the threads."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def padded(self, rows):
        """The batch size in which `rows` rows are run."""
        if self.sizes:
            return next(size for size in self.sizes if size >= rows)
        return min(1 << (rows - 1).bit_length(), self.max_size)

    def execute(self, servable, feeds, fetches, timeout=None):
        """Like `Servable.run`, in a batch with other requests. Blocks until the batch was run."""
        if any(value.ndim == 0 for value in feeds.values()):
            raise ServingError(_INVALID, "Batching Run() input tensors must have at least one dimension.")
        sizes = {len(value) for value in feeds.values()}
        if len(sizes) != 1:
            raise ServingError(_INVALID, "Batching Run() input tensors must have equal 0th-dimension size.")
        rows = sizes.pop()
        if rows == 0:
            return servable.run(feeds, fetches, timeout)
        if rows > self.max_size:
            if not self.split_large:
                raise ServingError(_INVALID, f"Task size {rows} is larger than maximum batch size {self.max_size}")
            starts = range(0, rows, self.max_size)
            parts = [{name: value[i : i + self.max_size] for name, value in feeds.items()} for i in starts]
            tasks = [self._enqueue(servable, part, fetches, timeout) for part in parts]
            return [np.concatenate(pieces) for pieces in zip(*[self._result(t) for t in tasks], strict=True)]
        return self._result(self._enqueue(servable, feeds, fetches, timeout))

    def _enqueue(self, servable, feeds, fetches, timeout):
        rows = len(next(iter(feeds.values())))
        task = _Task(feeds, rows, timeout)
        # Requests of different shapes are never in one batch, so that one cannot make the batch of another fail.
        shapes = tuple(
            (name, value.ndim if self.pad_inputs else value.shape[1:], value.dtype) for name, value in sorted(feeds.items())
        )
        key = id(servable), tuple(fetches), shapes
        with self._changed:
            if self._stopped:
                raise ServingError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = _Queue(servable, fetches)
            elif queue.rows + rows > self.max_queued * self.max_size:
                raise ServingError(grpc.StatusCode.UNAVAILABLE,
                                   "The batch scheduling queue to which this task was submitted is full")  # fmt: skip
            queue.tasks.append(task)
            queue.rows += rows
            self._changed.notify()
        return task

    def _result(self, task):
        try:
            left = None if task.deadline is None else max(0.0, task.deadline - time.monotonic())
            return task.future.result(left)
        except concurrent.futures.TimeoutError as error:
            task.future.cancel()
            raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out waiting for a batch") from error

    def _work(self):
        while True:
            with self._changed:
                while (taken := self._take()) is None:
                    if self._stopped:
                        return
                    self._changed.wait(self._next_due())
            servable, fetches, tasks = taken
            tasks = [task for task in tasks if task.future.set_running_or_notify_cancel()]
            if tasks:
                self._run(servable, fetches, tasks)
            del taken, servable, tasks  # an idle thread must hold no reference to a model or its outputs

    def _take(self):
        """(servable, fetches, tasks) of a queue that is full or has waited long enough, or None."""
        now = time.monotonic()
        for key, queue in self._queues.items():
            if self._stopped or queue.rows >= self.max_size or now - queue.tasks[0].enqueued >= self.wait:
                tasks, rows = [], 0
                while queue.tasks and rows + queue.tasks[0].rows <= self.max_size:
                    tasks.append(queue.tasks.popleft())
                    rows += tasks[-1].rows
                queue.rows -= rows
                if queue.tasks:
                    self._queues.move_to_end(key)  # the other queues first
                    self._changed.notify()
                else:
                    del self._queues[key]
                return queue.servable, queue.fetches, tasks
        return None

    def _next_due(self):
        if not self._queues:
            return None
        oldest = min(queue.tasks[0].enqueued for queue in self._queues.values())
        return max(0.0, oldest + self.wait - time.monotonic())

    def _run(self, servable, fetches, tasks):
        try:
            pieces = self._run_merged(servable, fetches, tasks)
        except Exception as error:
            if len(tasks) == 1:
                tasks[0].future.set_exception(error)
                return
            for task in tasks:  # one request may cause the error: each runs alone and gets its own answer
                self._run(servable, fetches, [task])
            return
        for task, piece in zip(tasks, pieces, strict=True):
            task.future.set_result(piece)

    def _run_merged(self, servable, fetches, tasks):
        rows = sum(task.rows for task in tasks)
        padding = self.padded(rows) - rows
        feeds = {}
        for name in tasks[0].feeds:
            values = [task.feeds[name] for task in tasks]
            if self.pad_inputs:
                values = _same_shape(values)
            if padding:
                # Rows of a request are valid values for padding.
                values.append(np.broadcast_to(values[-1][:1], [padding, *values[-1].shape[1:]]))
            feeds[name] = values[0] if len(values) == 1 else np.concatenate(values)
        deadlines = [task.deadline for task in tasks]
        timeout = None if None in deadlines else max(deadlines) - time.monotonic()
        outputs = servable.run(feeds, fetches, timeout)
        for output in outputs:
            if output.ndim == 0:
                raise ServingError(_PRECONDITION, "Batched output tensor has 0 dimensions")
            if len(output) != rows + padding:
                raise ServingError(_PRECONDITION, "Batched output tensor's 0th dimension does not equal the sum of the 0th "
                                   "dimension sizes of the input tensors")  # fmt: skip
        ends = np.cumsum([task.rows for task in tasks])
        return [[output[end - task.rows : end] for output in outputs] for task, end in zip(tasks, ends, strict=True)]


def _same_shape(values):
    """Pads each array to the largest size of each dimension after the first, with its own first element."""
    largest = np.max([value.shape[1:] for value in values], axis=0, initial=0).tolist() if values[0].ndim > 1 else []
    padded = []
    for value in values:
        if list(value.shape[1:]) != largest:
            fill = value.flat[0] if value.size else (b"" if value.dtype == object else 0)
            whole = np.full([len(value), *largest], fill, value.dtype)
            whole[tuple(slice(n) for n in value.shape)] = value
            value = whole
        padded.append(value)
    return padded
