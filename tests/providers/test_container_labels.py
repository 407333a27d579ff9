"""What of the providers needs no event loop: the sync client's containers, owners, names."""

from __future__ import annotations

import pytest
from provided import containers
from support.docker_fixtures import Built

from openenv_async.client.launch import space_subdomain
from openenv_async.errors import UsageError
from openenv_async.providers.container_labels import is_gone, me
from openenv_sync import SyncEnv


def test_the_sync_client_starts_and_ends_a_container(template_image: Built) -> None:
    with SyncEnv.from_docker_image(template_image.tag) as env:
        env.reset(seed=1)
    assert containers() == []


def test_an_owner_is_gone_only_when_it_surely_is() -> None:
    mine = me()
    assert not is_gone(mine)
    assert is_gone(mine.replace('"started": "', '"started": "9'))
    for doubtful in ("", "{}", "[]", mine.replace('"host": "', '"host": "another')):
        assert not is_gone(doubtful)


def test_a_name_in_the_registry_is_the_hubs() -> None:
    assert space_subdomain("My-Org/my_env.v2") == "my-org-my-env-v2"
    with pytest.raises(UsageError, match="org/name"):
        space_subdomain("alone")
