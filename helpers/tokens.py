"""Access tokens: what one looks like, keeping it out of logs and files, and lending one to clients.

The only file that writes HF_TOKEN, or any other environment variable, and only when the mode
changes: a variable is the whole process's, so while a request is under way nobody touches one.
"""

import os
import re
from collections.abc import Mapping
from contextlib import contextmanager

# How access tokens of Hugging Face, of its providers and of GitHub begin. hf_ may stand inside a
# word; the others may not, except in JSON inside JSON, where a line break before a token is written
# \n: two characters, the second of them a letter.
PREFIXES = (
    "api_org_",
    "sk-",
    "sk_",
    "gsk_",
    "r8_",
    "tgp_",
    "fw_",
    "csk-",
    "xai-",
    "nvapi-",
    "ghp_",
)
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt]))"
TOKEN = re.compile(rf"(?:hf_|{_START}(?:{'|'.join(map(re.escape, PREFIXES))}))[A-Za-z0-9_-]{{16,}}")
_SIGNS = tuple(prefix.encode() for prefix in ("hf_", *PREFIXES))
SHORTEST = 8  # characters of a token of another form; a shorter one would be found in any text

# Clients refuse to be built without a token. Where there is none the first of these stands in for
# it; it is never sent. The second takes the place of any token on its way to the practice server,
# which has no business with a real one.
PLACEHOLDER = "hf_placeholder_of_the_course"
PRACTICE_TOKEN = "hf_practice_on_this_machine"


# ---- keeping tokens out ------------------------------------------------------------------------


class SecretFound(Exception):
    """Something that looks like an access token was about to be recorded. It was not written."""


def mask(text: str) -> str:
    """`text` with `$HF_TOKEN` for what looks like an access token, and for this process's own."""
    own = os.environ.get("HF_TOKEN", "").strip()
    if len(own) >= SHORTEST:
        text = text.replace(own, "$HF_TOKEN")
    return TOKEN.sub("$HF_TOKEN", text)


def masked(content: bytes) -> bytes:
    """`content` without tokens; the very same object where there is none: most bodies are clean,
    and looking is cheap."""
    own = os.environ.get("HF_TOKEN", "").strip().encode()
    signs = (*_SIGNS, own) if len(own) >= SHORTEST else _SIGNS
    if not any(sign in content for sign in signs):
        return content
    return mask(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def refuse_secrets(where: str, *texts: str) -> None:
    """Raise SecretFound if a text holds this process's token, or what looks like one."""
    own = os.environ.get("HF_TOKEN", "").strip()
    for text in texts:
        found = TOKEN.search(text)
        if found or (len(own) >= SHORTEST and own in text):
            start = found.group()[:5] if found else own[:3]
            raise SecretFound(
                f"{where} holds what looks like an access token ({start}…); it was not recorded."
                " Take it out of the notebook, and revoke it if it is real."
            )


# ---- the learner's own -------------------------------------------------------------------------


def learners(fresh: bool = False) -> str | None:
    """The learner's own token, where huggingface_hub looks for one: environment, the file of
    `hf auth login`, a secret of Colab. Never the placeholder; None if there is none.

    fresh : have one that is about to expire renewed, which may ask the network.
    """
    from huggingface_hub.utils import _auth

    set_here = (os.environ.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
    found = next((token.strip() for token in set_here if token and token.strip()), "")
    if found and found != PLACEHOLDER:
        return found
    hidden = os.environ.get("HUGGING_FACE_HUB_TOKEN", "").strip()  # behind the placeholder
    from_file = _auth._get_token_from_file_refreshed if fresh else _auth._get_token_from_file
    return hidden or from_file() or _auth._get_token_from_google_colab()


# ---- lending, and setting aside ----------------------------------------------------------------

HUB = "https://huggingface.co"
OLD_HOST = "https://api-inference.huggingface.co"
PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
ENVIRON = "the environment"  # one of the places that are changed; the others are modules
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def unusable(environ: Mapping[str, str]) -> dict[str, str]:
    """{variable: what is wrong with it}: what the environment says and no client can work with."""
    found = {}
    for name in (one for proxy in PROXIES for one in (proxy, proxy.lower())):
        scheme, colon, _ = environ.get(name, "").partition("://")
        if colon and scheme.lower() not in ("http", "https"):
            found[name] = f"names a proxy of the kind {scheme}://, which the clients cannot use"
    for name in CERTIFICATES:
        path = environ.get(name)
        there = os.path.dirname(path) or "." if path and name == "SSLKEYLOGFILE" else path
        if path and not os.path.exists(there):
            found[name] = f"names {path}, which is not there"
    if "HF_TOKEN" in environ and not environ["HF_TOKEN"].strip():
        found["HF_TOKEN"] = "is blank"
    return found


class Lent:
    """What a session changes in os.environ and in huggingface_hub's constants, until back().

    What somebody else has changed since then is left as it is.
    """

    def __init__(self):
        self._changes: dict[tuple, tuple] = {}  # (where, name): (as it was, ours)

    def learners_environ(self) -> dict[str, str]:
        """The environment as it would be without us."""
        changed = {
            name: was
            for (where, name), (was, ours) in self._changes.items()
            if where is ENVIRON and _get(where, name) == ours
        }
        return {name: it for name, it in {**os.environ, **changed}.items() if it is not None}

    def prepare(self, mode: str) -> None:
        """Give the clients of this process what they need in a mode, each variable in one step.

        Always a token to build clients with. In Replay and Practice nothing may keep an answer
        away: broken proxies and certificates, other addresses than the service's, offline mode.
        """
        from huggingface_hub import constants, hf_api

        environ, wanted = self.learners_environ(), {}
        if mode != "live":
            # HF_OIDC_RESOURCE: asks the network for a token, at every request.
            for name in (*unusable(environ), "HF_OIDC_RESOURCE"):
                wanted[ENVIRON, name] = None
            # What huggingface_hub read from the environment when it was imported.
            wanted[constants, "ENDPOINT"] = wanted[hf_api.api, "endpoint"] = HUB
            wanted[constants, "INFERENCE_ENDPOINT"] = OLD_HOST
            wanted[constants, "HF_HUB_OFFLINE"] = False
            wanted[constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN"] = False
        if not environ.get("HF_TOKEN", "").strip():
            # Live: the learner's own, so that os.environ["HF_TOKEN"] works also after a login.
            own = learners(fresh=True) if mode == "live" else None
            wanted[ENVIRON, "HF_TOKEN"] = own or PLACEHOLDER
        self._change(wanted)

    def hide(self) -> None:
        """Let the clients find no token: not the environment's, nor that of `hf auth login`, nor
        Colab's secret."""
        from huggingface_hub import constants

        gone = {(ENVIRON, name): None for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")}
        # Where huggingface_hub does not ask for Colab's secrets.
        elsewhere = {(ENVIRON, "VERTEX_PRODUCT"): "COLAB_ENTERPRISE"}
        self._change({**gone, **elsewhere, (constants, "HF_TOKEN_PATH"): os.devnull})

    def back(self) -> None:
        """Put everything back."""
        self._change({})

    def _change(self, wanted: dict[tuple, object]) -> None:
        """Let exactly these places hold what is wanted, and all others what they held before."""
        kept, self._changes = self._changes, {}
        for (where, name), ours in wanted.items():
            was, before = kept.pop((where, name), (_get(where, name),) * 2)
            now = _get(where, name)
            self._changes[where, name] = (was if now == before else now), ours
            _set(where, name, ours)
        for (where, name), (was, ours) in kept.items():
            if _get(where, name) == ours:
                _set(where, name, was)


@contextmanager
def none():
    """In here the clients find no token, as where nobody has logged in. Not for several threads."""
    lent = Lent()
    lent.hide()
    try:
        yield
    finally:
        lent.back()


def no_telemetry() -> None:
    """Before its first request huggingface_hub would send one that nobody asked for, and keep the
    answer in HF_HOME. Not in this process any more."""
    from huggingface_hub import constants

    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    constants.HF_HUB_DISABLE_TELEMETRY = True


def _get(where, name: str):
    return os.environ.get(name) if where is ENVIRON else getattr(where, name)


def _set(where, name: str, value) -> None:
    if where is not ENVIRON:
        setattr(where, name, value)
    elif value is None:
        os.environ.pop(name, None)
    elif os.environ.get(name) != value:
        os.environ[name] = value
