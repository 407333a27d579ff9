"""The Dockerfile: it exists, exposes the right port, contains no secrets, and what builders need for it."""

from __future__ import annotations

import re
from pathlib import Path

from openenv_async.conformance.findings import FileFindings, Finding
from openenv_async.conformance.project.manifest import Manifest

PLACES = ("server/Dockerfile", "Dockerfile")

_SECRET = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$", re.IGNORECASE
)
_PAIR = re.compile(r"""([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)""")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_LOOPBACK = re.compile(r"--host[\s=\",']+(?:127\.0\.0\.1|localhost)")
_LOOPBACK_HOST = re.compile(r"\bOPENENV_HOST[= ]\s*\"?(?:127\.|localhost\b|::1)")


def find_dockerfile(folder: Path) -> str | None:
    """Return the place of the Dockerfile, relative to the folder."""
    return next((place for place in PLACES if (folder / place).is_file()), None)


def check_dockerfile(folder: Path, manifest: Manifest) -> list[Finding]:
    """Find every problem in the Dockerfile's text."""
    place = find_dockerfile(folder)
    found = FileFindings("dockerfile", place or PLACES[0])
    if place is None:
        hint = "copy the one that `openenv init` writes"
        found.failed("there is no Dockerfile, neither in server/ nor at the root", hint=hint)
        return found.findings
    try:
        text = (folder / place).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        found.failed(f"it cannot be read: {error}")
        return found.findings
    _DockerfileCheck(text, found).run(manifest.port)
    return found.done(f"it exposes port {manifest.port}, has no secrets in it, and needs no BuildKit")


class _DockerfileCheck:
    """Checks one text."""

    def __init__(self, text: str, found: FileFindings) -> None:
        # Here, because its package imports a container engine's client.
        from openenv_async.images.dockerfile import Dockerfile

        self._dockerfile = Dockerfile(text)
        self._found = found
        self._values: dict[str, str] = {}

    def run(self, port: int) -> None:
        instructions = self._dockerfile.instructions
        if not any(each.word == "FROM" for each in instructions):
            self._found.failed("it has no FROM line", (1, 1), "begin it with `FROM python:3.12-slim` or another image")
            return
        for each in instructions:
            if each.word in ("ENV", "ARG"):
                self._variables(each.word, each.rest, each.line)
        self._secret_values()
        self._port(port)
        self._starts()
        self._buildkit()

    def _variables(self, word: str, rest: str, line: int) -> None:
        pairs = _PAIR.findall(rest)
        if word == "ENV" and not pairs:
            name, _, value = rest.partition(" ")  # `ENV NAME value`, the old form
            pairs = [(name, value)]
        elif not pairs:
            pairs = [(rest.strip(), "")]
        for name, quoted in pairs:
            value = quoted.strip("\"'")
            self._values[name] = value
            if not _SECRET.search(name):
                continue
            if word == "ENV" and value and not value.startswith("$"):
                hint = "pass it to the container (`docker run -e`, the Space's secrets), not to the image"
                self._found.failed(
                    f"ENV {name} looks like a secret, and everyone who has the image can read it", (line, 1), hint
                )
            elif word == "ARG":
                hint = "use the builder's own secrets, or pass it to the container"
                self._found.warned(
                    f"ARG {name} looks like a secret, and remains in the image's history", (line, 1), hint
                )

    def _secret_values(self) -> None:
        from openenv_async.hub.secret_scan import secret_inside

        inside = secret_inside(self._dockerfile.text.encode(), ())
        if inside is not None:
            line, what = inside
            self._found.failed(f"{what} is written into it", (line, None), "remove it, and revoke it: it is known now")

    def _port(self, port: int) -> None:
        exposed: dict[str, int] = {}
        for each in self._dockerfile.instructions:
            if each.word == "EXPOSE":
                exposed |= {self._expanded(item).partition("/")[0]: each.line for item in each.rest.split()}
        if not exposed:
            self._found.warned(f"it exposes no port, and the server's is {port}", hint=f"add `EXPOSE {port}`")
        elif str(port) not in exposed:
            wrong, line = next(iter(exposed.items()))
            hint = f"write `EXPOSE {port}`, or correct port in openenv.yaml"
            self._found.failed(f"it exposes {wrong}, and openenv.yaml says port {port}", (line, 1), hint)

    def _starts(self) -> None:
        last = next((e for e in reversed(self._dockerfile.instructions) if e.word in ("CMD", "ENTRYPOINT")), None)
        host = next(
            (e for e in self._dockerfile.instructions if e.word == "ENV" and _LOOPBACK_HOST.search(e.rest)), None
        )
        wrong = last if last is not None and _LOOPBACK.search(last.rest) else host
        if wrong is not None:
            hint = "let it listen with --host 0.0.0.0 or ENV OPENENV_HOST=0.0.0.0"
            self._found.failed("the server listens inside the container only", (wrong.line, 1), hint)

    def _buildkit(self) -> None:
        from openenv_async.images.buildkit import needs_buildkit

        need = needs_buildkit(self._dockerfile)
        if need is not None:
            line, what = need
            hint = "it builds with docker's buildx; without it, write the line in another way"
            self._found.warned(f"`{what}` needs BuildKit, which not every builder has", (line, 1), hint)

    def _expanded(self, text: str) -> str:
        return _VARIABLE.sub(lambda m: self._values.get(m[1] or m[3]) or m[2] or "", text)
