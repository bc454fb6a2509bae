"""The chat model: llama.cpp's own request handlers, in this process, through xllamacpp.

xllamacpp's `Server` is llama.cpp's server as a library: `handle_chat_completions(body, on_chunk)`
takes the JSON body of a chat completion and calls back with each chunk as its token is sampled.
Templates, sampling, grammars, stop sequences, log-probabilities and token counts are all
llama.cpp's.

Each request starts from a fresh model state (no prompt cache, one slot, one request at a time),
because a cached prefix changes the last bits of the arithmetic, and then the same request need not
give the same answer.
"""

import asyncio
import queue
import secrets
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

from . import weights as registry
from .errors import ServiceError, chat_error, simple

CONTEXT = 4096  # tokens of prompt and answer together
REQUEST_SECONDS = 300  # the longest one request may wait for its turn and be answered
QUEUE = 64  # requests that may wait; more are turned away


class ChatModel:
    """One set of chat weights, loaded on first use, answering one request after another on a thread
    of its own.

    weights : a row of the registry whose first file is a GGUF.
    defaults : sampling parameters for requests that give none, in llama.cpp's names.
    threads : one is enough for models this small. More are faster on an idle machine, but
        llama.cpp's threads wait for each other in busy loops: on a machine that has other work, two
        of them were measured to be 10 times slower than one.
    """

    def __init__(self, weights: registry.Weights, defaults: dict, threads: int = 1):
        self.weights, self.defaults, self.threads = weights, defaults, threads
        self._server = None
        self._jobs: queue.Queue = queue.Queue(QUEUE)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def runtime(self) -> str:
        import xllamacpp

        return f"xllamacpp {xllamacpp.__version__}"

    def load(self) -> None:
        """Check and load the weights now. Raises WeightsMissing or WeightsDamaged."""
        with self._lock:
            if self._server is None:
                self._server = _open(registry.find(self.weights)[0], self.threads)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="chat model", daemon=True)
                self._thread.start()

    async def stream(self, handler: str, body: dict) -> AsyncIterator[dict]:
        """Chunks of one answer as they come, from llama.cpp's `handle_<handler>`.

        handler : "chat_completions" or "completions"; body : its JSON body.
        Closing the iterator stops the generation. Raises ServiceError: what llama.cpp found wrong
        with the request, 429 when too many requests wait, 504 when the answer takes longer than
        REQUEST_SECONDS.
        """
        await asyncio.to_thread(self.load)
        job = _Job(
            handler,
            {
                **body,
                "stream": True,
                "cache_prompt": False,
                "stream_options": {"include_usage": True},
            },
        )
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise ServiceError(
                429, {"error": "Model is overloaded", "error_type": "overloaded"}
            ) from None
        # A deadline by hand: a stream's first chunks and the rest are awaited in different tasks,
        # where asyncio.timeout would cancel the wrong one.
        deadline = time.monotonic() + REQUEST_SECONDS
        try:
            while (
                chunk := await asyncio.wait_for(job.chunks.get(), deadline - time.monotonic())
            ) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        except TimeoutError:
            raise simple(
                504, "The request timed out before the model finished generating"
            ) from None
        finally:
            job.cancelled.set()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job.cancelled.is_set():
                continue
            try:
                result = getattr(self._server, f"handle_{job.handler}")(job.body, job.on_chunk)
                if isinstance(result, dict):
                    job.on_chunk(result)
            except Exception as error:  # llama.cpp's own words about a request it can't take
                job.put(chat_error(400, str(error)))
            job.put(None)


class _Job:
    """One request on its way to the model's thread and back."""

    def __init__(self, handler: str, body: dict):
        self.handler, self.body = handler, body
        self.chunks: asyncio.Queue = asyncio.Queue()
        self.cancelled = threading.Event()
        self._loop = asyncio.get_running_loop()

    def put(self, item) -> None:
        try:
            self._loop.call_soon_threadsafe(self.chunks.put_nowait, item)
        except RuntimeError:  # the event loop is closed: nobody waits any more
            self.cancelled.set()

    def on_chunk(self, chunk) -> bool:
        """Called by llama.cpp with each chunk; True makes it stop."""
        for piece in chunk if isinstance(chunk, list) else [chunk]:
            error = piece.get("error")
            self.put(
                piece
                if error is None
                else chat_error(_client_error(error.get("code")), error.get("message", str(error)))
            )
        return self.cancelled.is_set()


def _client_error(code) -> int:
    return code if isinstance(code, int) and 400 <= code < 500 else 400


def _open(path: Path, threads: int):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.warmup = False
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.verbosity = -1
    # The library also opens an HTTP listener that we do not use: nobody else shall be able to.
    params.hostnames = ["127.0.0.1"]
    params.api_keys = [secrets.token_hex(32)]
    params.ui = False
    return xllamacpp.Server(params)
