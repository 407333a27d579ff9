"""Texts that `openenv serve` prints: where the server listens, how to connect, and warnings."""

from __future__ import annotations


def announce(name: str, urls: list[str], *, has_token: bool, reload: bool, page: bool = False) -> str:
    """Return where the server listens, with a snippet for each kind of client.

    Args:
        name: the environment's name.
        urls: the server's addresses.
        has_token: whether clients need one.
        reload: whether it restarts on changes.
        page: whether there is a web page.
    """
    url = _reachable(urls[0])
    token = ', token="..."' if has_token else ""
    lines = [
        f"Serving {name} on {', '.join(urls)}{' (restarts on changes)' if reload else ''}. Ctrl-C stops it.",
        "",
        "Connect from Python:",
        "    from openenv_sync import SyncEnv",
        f'    with SyncEnv(base_url="{url}"{token}) as env: print(env.reset())',
        "or from asyncio code:",
        "    from openenv_async import AsyncEnv",
        f'    async with AsyncEnv(base_url="{url}"{token}) as env: print(await env.reset())',
    ]
    if page and url.startswith("http"):
        lines[1:1] = [f"Play by hand in a browser: {url}/web/"]
    if has_token:
        lines.append("Clients must present the token.")
    return "\n".join(lines)


def token_warning(urls: list[str]) -> str:
    """Return the warning for a server that other machines can reach without a token."""
    return (
        f"Warning: everybody who can reach {', '.join(urls)} can run this environment's code and take its sessions. "
        "Set a token (--token or OPENENV_TOKEN), or listen on 127.0.0.1."
    )


def _reachable(url: str) -> str:
    """Replace a wildcard address, to which clients cannot connect, by the loopback address."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
