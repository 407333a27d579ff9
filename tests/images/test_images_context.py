"""The context of a build: what goes in, and a digest that is the same wherever the files are the same."""

from __future__ import annotations

import os
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from openenv_async.images.context import BuildContext
from openenv_async.images.errors import ContextError


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    return folder


def names(context: BuildContext) -> list[str]:
    archive = context.write()
    with tarfile.open(fileobj=archive.file) as tar:
        found = tar.getnames()
    archive.close()
    return found


def digest(context: BuildContext) -> str:
    archive = context.write()
    archive.close()
    return archive.digest


# The left is .dockerignore, the right what stays in of these files.
FILES = (".env", "a.pyc", "a.txt", "build/x", "deep/a.pyc", "deep/build/x", "deep/keep.md", "deep/more/b.md")


@pytest.mark.parametrize(
    ("rules", "out"),
    [
        ("", ()),
        ("# a.txt\n\n", ()),
        ("a.txt", ("a.txt",)),
        ("/a.txt", ("a.txt",)),
        ("  a.txt  ", ("a.txt",)),
        ("./a.txt", ("a.txt",)),
        # Unlike git's, a pattern begins at the root.
        ("*.pyc", ("a.pyc",)),
        ("build", ("build/x",)),
        ("build/", ("build/x",)),
        ("**/build", ("build/x", "deep/build/x")),
        ("**/*.pyc", ("a.pyc", "deep/a.pyc")),
        ("*/*.pyc", ("deep/a.pyc",)),
        ("deep/**", ("deep/a.pyc", "deep/build/x", "deep/keep.md", "deep/more/b.md")),
        ("?.txt", ("a.txt",)),
        ("[a-b].txt", ("a.txt",)),
        # The last rule that speaks of a file decides, also inside a folder that is left out.
        ("deep\n!deep/keep.md", ("deep/a.pyc", "deep/build/x", "deep/more/b.md")),
        ("**\n!a.txt\n!deep", (".env", "a.pyc", "build/x")),
        ("!a.txt\na.txt", ("a.txt",)),
        (".env\r\na.txt\r\n", (".env", "a.txt")),
        ("../outside\n.\n/", ()),
    ],
)
def test_dockerignore_means_what_it_means_to_docker(tmp_path: Path, rules: str, out: tuple[str, ...]) -> None:
    write(tmp_path, *FILES)
    (tmp_path / ".dockerignore").write_bytes(rules.encode())
    kept = [name for name in names(BuildContext(folder=tmp_path)) if (tmp_path / name).is_file()]
    assert set(kept) - {".dockerignore"} == set(FILES) - set(out)


def test_the_dockerfile_is_sent_even_if_ignored(tmp_path: Path) -> None:
    write(tmp_path, "server/Dockerfile", "x")
    (tmp_path / ".dockerignore").write_text("**", encoding="utf-8")
    context = BuildContext(folder=tmp_path, dockerfile="server/Dockerfile")
    assert names(context) == [
        ".dockerignore",
        "server/Dockerfile",
    ]


def test_a_dockerfiles_own_ignore_file_comes_first(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfile", "a", "b")
    (tmp_path / ".dockerignore").write_text("a", encoding="utf-8")
    (tmp_path / "Dockerfile.dockerignore").write_text("b", encoding="utf-8")
    assert "a" in names(BuildContext(folder=tmp_path))
    assert "b" not in names(BuildContext(folder=tmp_path))


def test_the_same_files_give_the_same_digest(tmp_path: Path) -> None:
    first = write(tmp_path / "first", "Dockerfile", "b/c", "a", "b.txt")
    (first / "link").symlink_to("a")
    os.chmod(first / "a", 0o755)
    second = tmp_path / "second"
    shutil.copytree(first, second, symlinks=True)
    for file in second.rglob("*"):
        os.utime(file, (0, 0), follow_symlinks=False)
    os.chmod(second / "b.txt", 0o600)
    assert digest(BuildContext(folder=first)) == digest(BuildContext(folder=second))


@pytest.mark.parametrize("change", ["content", "name", "mode", "more", "overlay"])
def test_other_files_give_another_digest(tmp_path: Path, change: str) -> None:
    write(tmp_path, "Dockerfile", "a")
    before = digest(BuildContext(folder=tmp_path))
    overlay: dict[str, bytes] = {}
    match change:
        case "content":
            (tmp_path / "a").write_text("other", encoding="utf-8")
        case "name":
            (tmp_path / "a").rename(tmp_path / "b")
        case "mode":
            (tmp_path / "a").chmod(0o755)
        case "more":
            write(tmp_path, "b")
        case _:
            overlay = {"a": b"laid over"}
    assert digest(BuildContext(folder=tmp_path, overlay=overlay)) != before


def test_what_belongs_to_this_machine_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfile")
    private = BuildContext(folder=tmp_path, private={".openenv-build/ca.pem": b"certificate"})
    assert digest(private) == digest(BuildContext(folder=tmp_path))
    assert ".openenv-build/ca.pem" in names(private)
    assert b"certificate" not in repr(private).encode()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").symlink_to("/etc/passwd")
    archive = BuildContext(folder=tmp_path).write()
    with tarfile.open(fileobj=archive.file) as tar:
        member = tar.getmember("secret")
    archive.close()
    assert (member.issym(), member.linkname, member.size) == (True, "/etc/passwd", 0)


def test_a_socket_is_refused_by_its_name(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(ContextError, match=r"s is neither a file nor a folder: name it in \.dockerignore"):
            BuildContext(folder=tmp_path).write()
    (tmp_path / ".dockerignore").write_text("s", encoding="utf-8")
    assert names(BuildContext(folder=tmp_path)) == [".dockerignore"]
