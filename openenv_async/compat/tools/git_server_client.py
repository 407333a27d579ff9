"""`openenv.core.tools.git_server_client`: repositories of a Gitea server, cloned into a workspace and reset there.

Git runs as a command with a configuration of this client: the user's is neither read
nor written. Requests to Gitea use HTTP.
"""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

POLL_S = 0.5

ANSWER_S = 5.0
"""Seconds that the server may take for one answer."""

_NOT_READY = "Gitea server is not ready"


@dataclass
class RepoInfo:
    """A repository, and where it is."""

    name: str
    url: str
    commit: str
    clone_url: str


class GitServerClient:
    """Repositories of one user of a Gitea server.

    Args:
        gitea_url: e.g. `"http://gitea:3000"`.
        username: whose repositories.
        password: for git and Gitea; kept in a file that only this user can read, until the process ends.
        workspace_dir: where clones go; made if need be.
    """

    def __init__(self, gitea_url: str, username: str, password: str, workspace_dir: str = "/workspace") -> None:
        self.gitea_url = gitea_url.rstrip("/")
        self.username, self.password = username, password
        self.workspace_dir = Path(workspace_dir)
        self.is_ready = False
        parts = urlsplit(self.gitea_url)
        self.domain, self.port = parts.hostname or "localhost", parts.port or 3000
        self.workspace_dir.mkdir(parents=True, exist_ok=True)
        self._git_env = {**os.environ, "GIT_CONFIG_GLOBAL": str(self._configured())}

    def _configured(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="openenv-git-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        credentials = folder / "credentials"
        credentials.touch(mode=0o600)
        credentials.write_text(f"http://{self.username}:{self.password}@{self.domain}:{self.port}\n", encoding="utf-8")
        config = folder / "config"
        config.write_text(
            f"[user]\n\tname = {self.username}\n\temail = {self.username}@local.env\n"
            f"[init]\n\tdefaultBranch = main\n[credential]\n\thelper = store --file {credentials}\n",
            encoding="utf-8",
        )
        return config

    def wait_for_ready(self, timeout: int = 30) -> bool:
        """Return whether the server answers within `timeout` seconds."""
        import httpx

        until = time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                self.is_ready = httpx.get(f"{self.gitea_url}/", timeout=ANSWER_S).status_code < 400
            except httpx.HTTPError:
                self.is_ready = False
            if self.is_ready:
                return True
            time.sleep(POLL_S)
        return False

    def list_repositories(self) -> list[dict[str, str]]:
        """Return the user's repositories; an empty list if the server does not list them.

        Raises:
            RuntimeError: the server was not found ready before.
        """
        import httpx

        if not self.is_ready:
            raise RuntimeError(_NOT_READY)
        try:
            answer = httpx.get(
                f"{self.gitea_url}/api/v1/user/repos", auth=(self.username, self.password), timeout=ANSWER_S
            )
            found: list[dict[str, Any]] = answer.json()
            return [
                {name: repo[name] for name in ("name", "full_name", "clone_url")}
                | {"description": repo.get("description", "")}
                for repo in found
            ]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return []

    def clone_to_workspace(self, repo_name: str, target_dir: str | None = None, commit: str = "main") -> str:
        """Clone a repository again and return its path.

        Args:
            repo_name: the repository.
            target_dir: the folder in the workspace; by default named as the repository. What is there is removed.
            commit: a commit or branch to check out.

        Raises:
            RuntimeError: the server was not found ready before, or git failed.
        """
        if not self.is_ready:
            raise RuntimeError(_NOT_READY)
        target = self.workspace_dir / (target_dir or repo_name)
        if target.exists():
            shutil.rmtree(target)
        url = f"{self.gitea_url}/{self.username}/{repo_name}.git"
        self._must("Clone", self._git(self.workspace_dir, "clone", url, str(target)))
        if commit != "main":
            self._must("Checkout", self._git(target, "checkout", commit))
        return str(target)

    def reset_workspace(self, repo_name: str, commit: str = "main") -> bool:
        """Reset a clone to a commit or branch, and remove untracked files. Returns True.

        Raises:
            RuntimeError: there is no such clone, or git failed.
        """
        folder = self.workspace_dir / repo_name
        if not folder.exists():
            raise RuntimeError(f"Repository not found in workspace: {repo_name}")
        self._git(folder, "fetch", "--all")  # the commit may be new; a failure shows at the checkout
        self._must("Checkout", self._git(folder, "checkout", commit))
        done = self._git(folder, "reset", "--hard", commit if commit == "main" else f"origin/{commit}")
        if done.returncode:  # no branch of the server's
            self._must("Reset", self._git(folder, "reset", "--hard", commit))
        self._git(folder, "clean", "-fdx")
        return True

    def execute_git_command(self, command: str, working_dir: str = "") -> tuple[int, str, str]:
        """Run a git command, given without `git`, in a folder of the workspace; return exit code, output and errors."""
        folder = self.workspace_dir / working_dir if working_dir else self.workspace_dir
        if not folder.exists():
            return 1, "", f"Working directory does not exist: {folder}"
        done = self._git(folder, *shlex.split(command))
        return done.returncode, done.stdout, done.stderr

    def get_current_commit(self, repo_name: str) -> str:
        """Return the current commit of a clone.

        Raises:
            RuntimeError: there is no such clone, or git failed.
        """
        folder = self.workspace_dir / repo_name
        if not folder.exists():
            raise RuntimeError(f"Repository not found: {repo_name}")
        return self._must("Failed to get commit", self._git(folder, "rev-parse", "HEAD")).stdout.strip()

    def workspace_exists(self, repo_name: str) -> bool:
        """Return whether there is a clone of this name."""
        return (self.workspace_dir / repo_name).exists()

    def _git(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments], cwd=folder, env=self._git_env, capture_output=True, text=True, check=False
        )

    def _must(self, what: str, done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
        if done.returncode:
            text = what if " " in what else f"{what} failed"
            raise RuntimeError(f"{text}: {done.stderr}")
        return done
