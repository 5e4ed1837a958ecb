from collections.abc import Iterator

import pytest

from api.settlements import events as settlement_events
from tests.fuzz.api_under_attack import api_attack
from tests.fuzz.attack import Attack
from tests.fuzz.service import Service, serving_api


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the whole service; each event stream ends after its first query, also for an open settlement."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settlement_events, "LIFETIME_S", 0.0)
        with serving_api(tmp_path_factory.mktemp("fuzz")) as running:
            yield running


@pytest.fixture(scope="package")
def attack(service: Service) -> Attack:
    """Return an attack on the API with the required key for every operation."""
    return api_attack(service)
