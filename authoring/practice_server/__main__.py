"""python -m authoring.practice_server [--port 8750] [--weights smollm2|qwen] [--speed 20]
[--threads 1]"""

import argparse
import socket
import sys
import time

import uvicorn

from .app import CHAT_DEFAULTS, create_app, load_all


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.practice_server",
        description=(
            "Small real models behind the wire format of Hugging Face's inference services, on"
            " 127.0.0.1 only."
        ),
    )
    parser.add_argument("--port", type=int, default=8750, help="default: %(default)s")
    parser.add_argument(
        "--weights",
        choices=list(CHAT_DEFAULTS),
        default="smollm2",
        help="the chat model; qwen is the one of the shipped recordings (default: %(default)s)",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=20.0,
        help=(
            "how many times as fast as in reality endpoints start and fall asleep (default:"
            " %(default)g)"
        ),
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help=(
            "threads of the chat model; more are faster only on a machine with nothing else to do"
            " (default: %(default)s)"
        ),
    )
    parser.add_argument("--log", action="store_true", help="print one line a request")
    arguments = parser.parse_args()
    if not 0 < arguments.port < 65536:
        parser.error(f"--port must be 1 to 65535, got {arguments.port}")
    if arguments.threads < 1:
        parser.error(f"--threads must be at least 1, got {arguments.threads}")
    if arguments.speed <= 0:
        parser.error(f"--speed must be greater than 0, got {arguments.speed:g}")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
    try:
        listener.bind(
            ("127.0.0.1", arguments.port)
        )  # before the models are loaded: a taken port is said at once
    except OSError as error:
        print(
            f"port {arguments.port} of 127.0.0.1 can't be had ({error.strerror}); is a practice"
            f" server running already? Another port: --port {arguments.port + 1}",
            file=sys.stderr,
        )
        return 1
    app = create_app(arguments.weights, arguments.speed, arguments.threads)
    started = time.perf_counter()
    problems = load_all(app)
    for problem in problems:
        print(f"\nwarning: {problem}\nIts routes will answer 503 until then.\n", file=sys.stderr)
    print(
        f"practice server: http://127.0.0.1:{arguments.port}, chat by"
        f" {app.state.practice.chat.weights.title}, models loaded in"
        f" {time.perf_counter() - started:.1f} s. Stop it with Ctrl+C.",
        flush=True,
    )
    config = uvicorn.Config(
        app,
        log_level="info" if arguments.log else "warning",
        access_log=arguments.log,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
