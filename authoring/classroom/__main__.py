"""python -m authoring.classroom [--host 192.168.1.10 --classroom 192.168.1.0/24] [--calls 5000]"""

import argparse
import ipaddress
import logging
import socket
import sys

import uvicorn

from helpers.tokens import PRACTICE_TOKEN

from .app import Classroom, create_app
from .rules import network


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m authoring.classroom",
        description=(
            "One token for a class: learners ask here, and this asks the service, no faster than it"
            " allows."
        ),
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help=(
            "this machine's address in the classroom (default: %(default)s, learners on this"
            " machine)"
        ),
    )
    parser.add_argument("--port", type=int, default=8760, help="default: %(default)s")
    parser.add_argument(
        "--classroom",
        type=network,
        action="append",
        metavar="NETWORK",
        help="who may ask, e.g. 192.168.1.0/24; may be given several times",
    )
    parser.add_argument(
        "--calls",
        type=int,
        default=5000,
        help="calls to the service in all; then the class gets a 402 (default: %(default)s)",
    )
    parser.add_argument(
        "--upstream",
        metavar="URL",
        help=(
            "rehearse: ask the practice server there, e.g. http://127.0.0.1:8750; needs no token"
            " and sends none"
        ),
    )
    asked = parser.parse_args(arguments)
    if not ipaddress.ip_address(asked.host).is_loopback and not asked.classroom:
        parser.error("--host reaches beyond this machine: say with --classroom who may ask")
    if ipaddress.ip_address(asked.host).is_unspecified:
        parser.error(
            f"{asked.host} is every network this machine is in; give its address in the classroom"
        )
    token = PRACTICE_TOKEN if asked.upstream else _token()
    if not token:
        print(
            "The class needs your token and none was found. Make one at"
            ' huggingface.co/settings/tokens with no permission but "Make calls to Inference'
            ' Providers", then run `hf auth login` on this machine.',
            file=sys.stderr,
        )
        return 1
    listener = socket.socket(socket.AF_INET6 if ":" in asked.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
    try:
        listener.bind((asked.host, asked.port))
    except OSError as error:
        print(
            f"port {asked.port} of {asked.host} can't be had ({error.strerror}); another port:"
            f" --port {asked.port + 1}",
            file=sys.stderr,
        )
        return 1
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("classroom").setLevel(logging.INFO)
    classroom = Classroom(token, asked.upstream, asked.calls)
    print(
        f"{classroom.who()} Learners set COURSE_MODE=practice and"
        f" COURSE_PRACTICE_URL=http://{asked.host}:{asked.port}. Stop it with Ctrl+C.",
        flush=True,
    )
    # proxy_headers: uvicorn would believe whoever says in a header that it comes from another
    # address.
    config = uvicorn.Config(
        create_app(classroom, asked.classroom),
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listener])
    print(classroom.report())
    return 0


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


if __name__ == "__main__":
    sys.exit(main())
