from collections.abc import Iterator

import pytest

from api.settlements import events as settlement_events
from tests.fuzz.attack import Attack
from tests.fuzz.front_door import front_door
from tests.fuzz.service import Service, serving_api


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the whole service; a stream of events ends after its first look, so that an open settlement's ends too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settlement_events, "LIFETIME_S", 0.0)
        with serving_api(tmp_path_factory.mktemp("fuzz")) as running:
            yield running


@pytest.fixture(scope="package")
def door(service: Service) -> Attack:
    """Return an attacker of the front door with a key for every operation that asks for one."""
    return front_door(service)
