"""Finds files with secrets, by their names and by their contents.

A file with the name of a secret is left out, with a warning. A secret inside any other
file stops the push: the environment may not work without the file, and with it the
secret would be public. The error names file and line, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.kdbx",
    "*.keystore",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".npmrc",
    ".htpasswd",
    ".git-credentials",
    "credentials",
    "credentials.json",
    "credentials.y*ml",
    "credentials.toml",
    "client_secret*.json",
    "service[-_]account*.json",
    "secrets.json",
    "secrets.y*ml",
    "secrets.toml",
    ".secrets",
)
_FOLDERS = (".aws", ".azure", ".docker", ".gcloud", ".gnupg", ".huggingface", ".kube", ".ssh")
_EXAMPLES = (".example", ".sample", ".template", ".dist", ".pub")

# Long and random enough not to be anything else.
_CONTENTS = (
    ("a private key", re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")),
    ("a Hugging Face token", re.compile(rb"\bhf_[A-Za-z0-9]{34,}\b")),
    ("an AWS access key", re.compile(rb"\bAKIA[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(rb"\b(?:ghp|gho|ghs|ghu)_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{60,}")),
    ("an OpenAI key", re.compile(rb"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{40,}")),
)
_SHORTEST = 8


def named_like_a_secret(path: str) -> bool:
    """Return whether a file of this name is never sent. `id_generator.py` and `.env.example` are sent."""
    *folders, name = path.split("/")
    name = name.lower()
    if any(folder in _FOLDERS for folder in folders):
        return True
    return not name.endswith(_EXAMPLES) and any(fnmatchcase(name, pattern) for pattern in _NAMES)


def secret_inside(content: bytes, known: Sequence[str]) -> tuple[int, str] | None:
    """Find a secret in a file: the line, counted from 1, and what it is.

    Args:
        content: the bytes of the file.
        known: values that must not be in it, such as the token in use. Short values are ignored, because they
            could be words.
    """
    found = [(match.start(), what) for what, pattern in _CONTENTS if (match := pattern.search(content)) is not None]
    for value in known:
        at = content.find(value.encode()) if len(value) >= _SHORTEST else -1
        if at >= 0:
            found.append((at, "the value of a secret that this command was given"))
    if not found:
        return None
    at, what = min(found)
    return content.count(b"\n", 0, at) + 1, what
