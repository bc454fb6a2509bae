"""Nothing that must not be published: access tokens, this or that machine's paths, addresses of
package registries."""

import re

# Tokens as their makers document them; and whatever is sent as a bearer token, unless it is the
# name of a variable.
SECRETS = {
    "a Hugging Face token": re.compile(
        r"\bhf_[A-Za-z0-9]{30,}|\bhf_oauth_[A-Za-z0-9._-]{20,}|\bapi_org_[A-Za-z]{30,}"
    ),
    "an API key": re.compile(
        r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}|\bgsk_[A-Za-z0-9]{20,}"
        r"|\br8_[A-Za-z0-9]{30,}|\bAIza[A-Za-z0-9_-]{30,}"
    ),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}"),
    "a bearer token": re.compile(
        r"[Bb]earer\s+(?![$<{%\"'])(?!hf_\.{3}|hf_…)(?=[A-Za-z0-9._~+/-]*\d)[A-Za-z0-9._~+/-]{20,}"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
PATHS = re.compile(
    r"(?<![\w.~$}/])/(?:work|root|farm)/[\w.]|(?<![\w.~$}/])/home/(?!jovyan\b)\w"
    r"|(?<![\w.~$}/])/Users/\w|\b[A-Z]:\\{1,2}Users\\{1,2}\w"
)
REGISTRIES = re.compile(
    r"\b(?:test\.)?(?:py"
    r"pi\.org|pythonhosted\.org)|\bregistry\.np"
    r"mjs\.org|\b(?:deb|security)\.deb"
    r"ian\.org|\bconda\.ana"
    r"conda\.org"
)


def secrets(text: str) -> list[str]:
    """One line for each thing in `text` that looks like a secret; it is not repeated whole."""
    problems = []
    for what, pattern in SECRETS.items():
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            problems.append(
                f"line {line}: {what} ({found.group()[:6]}…): take it out and revoke it"
            )
    return problems


def machine(text: str) -> list[str]:
    """One line for each path of one particular machine, or address of a package registry."""
    problems = []
    for what, pattern in (
        ("a path of one machine", PATHS),
        ("the address of a package registry", REGISTRIES),
    ):
        for found in pattern.finditer(text):
            problems.append(
                f"line {text.count(chr(10), 0, found.start()) + 1}: {what}: {found.group()}"
            )
    return problems
