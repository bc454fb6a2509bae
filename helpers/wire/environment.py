"""What environment variables say about how a request leaves this machine, and whether it can be
done so: proxies and certificates, which clients read when they are built; and the course's pace."""

import importlib.util
import os
from collections.abc import Mapping

import httpx2

from helpers import browser, tokens


def unusable(environ: Mapping[str, str]) -> dict[str, str]:
    """{variable: what is wrong with it}: what the environment says and no client can work with."""
    looks = {name + "_proxy": _proxy for name in ("all", "https", "http")}
    looks |= {name.upper(): look for name, look in looks.items()}
    looks |= {"SSL_CERT_FILE": _certificates, "SSL_CERT_DIR": _folder, "SSLKEYLOGFILE": _key_log}
    looks["HF_TOKEN"] = tokens.flaw
    said = {name: look(environ[name]) for name, look in looks.items() if name in environ}
    return {name: wrong for name, wrong in said.items() if wrong}


def check_live(environ: Mapping[str, str]) -> None:
    """Raises RuntimeError with what Live lacks here.

    environ : the learner's, without what is set aside while there is a session.
    """
    if not tokens.learners():
        why = tokens.unreadable() or "none was found"
        where = 'huggingface.co/settings/tokens with "Make calls to Inference Providers"'
        told = f"Make one at {where}, {browser.WHERE_TOKENS_GO}"
        raise RuntimeError(f"Live needs your own token and {why}. {told}")
    asked = environ.get("HF_HUB_OFFLINE") or environ.get("TRANSFORMERS_OFFLINE") or ""
    if asked.upper() in ("1", "ON", "YES", "TRUE"):
        raise RuntimeError(
            "Live needs the network, and HF_HUB_OFFLINE is set. Unset it, restart the kernel and"
            " choose Live again."
        )
    for name, wrong in unusable(environ).items():
        if wrong == tokens.BLANK:
            continue  # as if there were none; the one of `hf auth login` was found
        raise RuntimeError(
            f"Live goes by what your environment says, and {name} {wrong}. Unset {name}"
            " (`make doctor` says more), restart the kernel and choose Live again."
        )


def pace() -> float:
    """COURSE_PACE: 0 for no waiting in Replay, 1 for as recorded. Raises ValueError."""
    text = os.environ.get("COURSE_PACE") or "1"
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        right = "0 for no waiting, 1 for as recorded, 2 for twice as slow"
        raise ValueError(f"COURSE_PACE is {text!r}; it must be a number: {right}")
    return found


def _proxy(url: str) -> str:
    kind, named, _ = url.partition("://")
    if named and kind.lower() in ("socks5", "socks5h") and not importlib.util.find_spec("socksio"):
        return f"names a proxy of the kind {kind}://, which needs `pip install 'httpx2[socks]'`"
    try:
        if url:
            httpx2.Proxy(url if named else f"http://{url}")
    except httpx2.InvalidURL:
        return "names a proxy at an address that cannot be read"
    except ValueError:
        return f"names a proxy of the kind {kind}://, which the clients cannot use"
    return ""


def _certificates(path: str) -> str:
    import ssl  # which a browser tab may not have

    try:
        if path:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        there = os.path.exists(path)
        return f"names {path}, which {'holds no certificate' if there else 'is not there'}"
    return ""


def _folder(path: str) -> str:
    return f"names {path}, which is not there" if path and not os.path.isdir(path) else ""


def _key_log(path: str) -> str:
    try:
        if path:
            open(path, "a").close()  # as a client does
    except OSError as error:
        return f"names {path}, which cannot be written ({error.strerror})"
    return ""
