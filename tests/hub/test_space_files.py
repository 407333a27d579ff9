"""What is sent of a folder: the choice of files, the README, the Dockerfile, the runtime. No Hub is asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from support.hub.pushing import FILES, README, put, write_env

from openenv_async.hub.dockerfile import find_dockerfile, space_dockerfile
from openenv_async.hub.failures import UnusableFile
from openenv_async.hub.files import select_files
from openenv_async.hub.frontmatter import repair_readme
from openenv_async.hub.space_files import Contents, Wishes, gather

WHEEL = ("openenv_async-9-py3-none-any.whl", b"wheel")
TREE = ("a.log", "keep.log", "build/x", "sub/build/x", "sub/a.log", "sub/deep/b.tmp", "sub/deep/c", "docs/d.md", "é/ü")
GIT_RULES = {
    "plain": {"": "*.log\n"},
    "taken back": {"": "*.log\n!keep.log\n"},
    "folders": {"": "build/\n"},
    "from here": {"": "/build\n/a.log\n"},
    "in the middle": {"": "sub/**/b.tmp\n"},
    "everything below": {"": "sub/**\n"},
    "at any depth": {"": "**/c\n"},
    "not from an ignored folder": {"": "sub/\n!sub/deep/c\n"},
    "comments and spaces": {"": "# no\n\n*.md  \n\\#x\n"},
    "a deeper file decides": {"": "*.log\n", "sub/": "!a.log\nb.tmp\n"},
    "classes": {"": "[ab].l?g\n"},
    "no pattern at all": {"": "!\n[\n*.md\n"},
    "not ASCII": {"": "é/\n"},
}


def tree(folder: Path) -> None:
    for path in TREE:
        put(folder, path, "x")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge here")
@pytest.mark.parametrize("name", GIT_RULES)
def test_gitignore_means_what_git_means(name: str, tmp_path: Path) -> None:
    tree(tmp_path)
    for place, text in GIT_RULES[name].items():
        put(tmp_path, f"{place}.gitignore", text)
    git = ["git", "-C", str(tmp_path), "-c", "core.quotepath=off", "-c", "core.excludesFile=/dev/null"]
    subprocess.run([*git, "init", "-q"], check=True, timeout=20)
    listed = subprocess.run(
        [*git, "ls-files", "--others", "--exclude-standard"], check=True, timeout=20, capture_output=True, text=True
    )
    assert sorted(select_files(tmp_path).files) == sorted(listed.stdout.splitlines())


DOCKER_RULES = {
    "from the root": ("*.log\nbuild\n", {"a.log", "keep.log", "build/x"}),
    "at any depth": ("**/*.log\n**/build/\n", {"a.log", "keep.log", "sub/a.log", "build/x", "sub/build/x"}),
    "taken back from a folder": ("sub\n!sub/deep/c\n", {"sub/build/x", "sub/a.log", "sub/deep/b.tmp"}),
    "a leading slash": ("/docs/\n", {"docs/d.md"}),
    "the last word counts": ("!a.log\n*.log\n!keep.log\n", {"a.log"}),
    "never what a Space needs": ("*\n**/*.md\n!sub\n!docs\n!é\n", {"a.log", "keep.log", "build/x"}),
}


@pytest.mark.parametrize("name", DOCKER_RULES)
def test_dockerignore_means_what_docker_means(name: str, tmp_path: Path) -> None:
    text, gone = DOCKER_RULES[name]
    tree(tmp_path)
    put(tmp_path, ".dockerignore", text)
    put(tmp_path, "README.md", "x")
    expected = {*TREE, ".dockerignore", "README.md"} - gone
    assert set(select_files(tmp_path).files) == expected


def test_the_rules_of_the_repository_around_it_hold_too(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    put(tmp_path, ".gitignore", "*.log\nenvs/mine/\n")
    put(tmp_path, "envs/.gitignore", "!keep.log\n")
    tree(tmp_path / "envs" / "mine")
    # That the folder itself is ignored does not count: it was asked for.
    assert "a.log" in select_files(tmp_path / "envs" / "mine").files
    put(tmp_path, ".gitignore", "*.log\n")
    files = select_files(tmp_path / "envs" / "mine").files
    assert "keep.log" in files and "a.log" not in files


def test_caches_environments_and_links_to_elsewhere_stay_here(tmp_path: Path) -> None:
    env = write_env(tmp_path / "env")
    for path in (".git/config", ".cache/x", "__pycache__/a.pyc", "my-venv/pyvenv.cfg", "my-venv/lib/a.py"):
        put(env, path, "x")
    outside = put(tmp_path, "outside.txt", "x")
    put(env, ".env", "x")
    (env / "link.txt").symlink_to(outside)
    (env / "settings").symlink_to(env / ".env")
    (env / "inside.py").symlink_to("models.py")
    os.mkfifo(env / "pipe")
    selection = select_files(env)
    assert set(selection.files) == {*FILES, "inside.py"}
    assert selection.outside == ["link.txt", "pipe", "settings"]
    assert selection.secrets == [".env"]


def test_a_name_that_no_repository_takes_is_said(tmp_path: Path) -> None:
    put(tmp_path, "a\nb", "x")
    with pytest.raises(UnusableFile, match="rename it"):
        select_files(tmp_path)


def contents(folder: Path) -> Contents:
    return gather(folder, Wishes(name="my_env", port=8000), wheel=WHEEL)


def test_the_runtime_is_added_only_where_it_is_named(tmp_path: Path) -> None:
    env = write_env(tmp_path)
    assert not [path for path in contents(env).pieces if path.endswith(".whl")]
    put(env, "pyproject.toml", 'dependencies = ["openenv-async>=0.1"]\n')
    assert contents(env).pieces[f"wheels/{WHEEL[0]}"].read() == b"wheel"


def test_a_wheel_of_the_projects_own_is_kept_and_told(tmp_path: Path) -> None:
    env = write_env(tmp_path, {"pyproject.toml": "openenv-async"})
    put(env, f"wheels/{WHEEL[0]}", b"older")
    gathered = contents(env)
    assert gathered.pieces[f"wheels/{WHEEL[0]}"].read() == b"older"
    assert "another build" in gathered.warnings[0]


@pytest.mark.parametrize("pinned", [b"wheel", b"another"])
def test_a_lock_file_that_pins_another_build_stops_it(pinned: bytes, tmp_path: Path) -> None:
    digest = hashlib.sha256(pinned).hexdigest()
    lock = '[[package]]\nname = "openenv-async"\nversion = "9"\nsource = { path = "wheels/x" }\nwheels = [\n'
    lock += f'    {{ filename = "{WHEEL[0]}", hash = "sha256:{digest}" }},\n]\n'
    env = write_env(tmp_path, {"uv.lock": lock})
    if pinned == b"wheel":
        assert f"wheels/{WHEEL[0]}" in contents(env).pieces
    else:
        with pytest.raises(UnusableFile, match=r"uv\.lock pins"):
            contents(env)


def front(text: str) -> dict[str, object]:
    values = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(values, dict)
    return values


def repaired(text: str | None, *, interface: bool = True) -> tuple[str, tuple[str, ...]]:
    readme = repair_readme(text, name="my_env", port=7000, interface=interface)
    again = repair_readme(readme.text, name="my_env", port=7000, interface=interface)
    assert again.changes == () and again.text == readme.text
    return readme.text, readme.changes


def test_a_readme_that_is_right_stays_as_it_is() -> None:
    assert repaired(README) == (README, ())


@pytest.mark.parametrize("text", [None, "# Mine\n", "", "---\n---\n# Mine\n"])
def test_front_matter_is_written_where_there_is_none(text: str | None) -> None:
    written, _ = repaired(text)
    values = front(written)
    assert values["title"] == "My" and values["sdk"] == "docker" and values["app_port"] == 7000
    assert values["base_path"] == "/web" and values["tags"] == ["openenv"]
    assert written.count("---\n") == 2
    assert ("# Mine" in written) == ("# Mine" in (text or ""))


OWN = "---\n# mine\ntitle: A: B\nlicense: mit # as is\nsdk: gradio\napp_port: 9\n\n"
OWN += "tags: [rl]\nemoji: 🐙\n---\nText --- here\n"


def test_the_authors_own_values_and_lines_are_kept() -> None:
    own = OWN.replace("A: B", "'A: B'")
    text, changes = repaired(own)
    values = front(text)
    assert (values["title"], values["license"], values["app_port"], values["emoji"]) == ("A: B", "mit", 9, "🐙")
    assert (values["sdk"], values["tags"]) == ("docker", ["rl", "openenv"])
    assert set(changes) == {"sdk", "tags", "colorFrom", "colorTo", "base_path"}
    assert "# mine\ntitle: 'A: B'\nlicense: mit # as is\nsdk: docker\napp_port: 9\n\n" in text
    assert text.endswith("---\nText --- here\n")


@pytest.mark.parametrize(
    "tags", ["tags: rl", "tags:\n- rl\n- games", "tags:\n  - rl # one\n\n  # two\n  - games", "tags:", "tags: {}"]
)
def test_tags_of_every_shape_get_ours(tags: str) -> None:
    values = front(repaired(README.replace("tags:\n  - openenv", tags))[0])
    assert isinstance(values["tags"], list) and values["tags"][-1] == "openenv"
    assert ("rl" in values["tags"]) == ("rl" in tags)


@pytest.mark.parametrize("line", ["colorFrom: mauve", "emoji: 5", "app_port: many", "title: [1]", "{title: T, sdk: x}"])
def test_values_that_cannot_work_are_replaced(line: str) -> None:
    values = front(repaired(f"---\n{line}\n---\n")[0])
    assert values["colorFrom"] != "mauve" and values["app_port"] == 7000 and isinstance(values["title"], str)


def test_without_interface_the_page_is_not_the_web_one() -> None:
    assert "base_path" not in front(repaired(README, interface=False)[0])
    assert front(repaired(README.replace("/web", "/docs"), interface=False)[0])["base_path"] == "/docs"


def test_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    assert front(repaired("\ufeff" + README.replace("\n", "\r\n"))[0])["title"] == "Mine"


def dockerfile(folder: Path, interface: bool | None = None, base_image: str | None = None) -> str:
    return space_dockerfile(folder, interface=interface, base_image=base_image).text


def test_the_dockerfile_at_the_root_goes_first_and_a_written_one_does_not(tmp_path: Path) -> None:
    env = write_env(tmp_path)
    assert find_dockerfile(env) == "server/Dockerfile"
    put(env, "Dockerfile", dockerfile(env))
    assert find_dockerfile(env) == "server/Dockerfile", "a clone of the Space would keep the old one for ever"
    put(env, "Dockerfile", "FROM scratch\n")
    assert find_dockerfile(env) == "Dockerfile"


def test_directives_stay_on_the_first_lines(tmp_path: Path) -> None:
    env = write_env(tmp_path, {"server/Dockerfile": "# syntax=docker/dockerfile:1\nFROM a\n"})
    assert dockerfile(env).startswith("# syntax=docker/dockerfile:1\n# Written by")


@pytest.mark.parametrize(
    ("own", "interface", "ends"),
    [
        ("FROM a\n", None, "ENV ENABLE_WEB_INTERFACE=true"),
        ("FROM a", True, "ENV ENABLE_WEB_INTERFACE=true"),
        ("FROM a\n", False, "FROM a"),
        ("FROM a\nENV ENABLE_WEB_INTERFACE=false\n", None, "ENV ENABLE_WEB_INTERFACE=false"),
        ("FROM a\nENV ENABLE_WEB_INTERFACE=false\n", True, "ENV ENABLE_WEB_INTERFACE=true"),
        ("FROM a\nENV ENABLE_WEB_INTERFACE true\n", False, "ENV ENABLE_WEB_INTERFACE=false"),
    ],
)
def test_the_interface_is_on_unless_somebody_said_otherwise(
    own: str, interface: bool | None, ends: str, tmp_path: Path
) -> None:
    env = write_env(tmp_path, {"Dockerfile": own})
    assert dockerfile(env, interface).rstrip().splitlines()[-1] == ends


@pytest.mark.parametrize(
    ("own", "new"),
    [
        ("FROM a AS x\nFROM b\n", "FROM img AS x\nFROM b\n"),
        ("FROM --platform=linux/amd64 a\n", "FROM --platform=linux/amd64 img\n"),
        (
            "ARG BASE_IMAGE=a\nFROM ${BASE_IMAGE} AS x\nFROM ${BASE_IMAGE}\n",
            "ARG BASE_IMAGE=img\nFROM ${BASE_IMAGE} AS x\nFROM ${BASE_IMAGE}\n",
        ),
    ],
)
def test_another_base_image_takes_the_place_of_the_first(own: str, new: str, tmp_path: Path) -> None:
    env = write_env(tmp_path, {"Dockerfile": own})
    assert dockerfile(env, False, "img") == new
