"""The newest Caddy against ours and against Pebble: http-01, tls-alpn-01, external account; a second start keeps what it has."""
import pytest

from clients_topology import WITH_EAB, machine, server  # noqa: F401 # pylint: disable=unused-import
from newest import CHALLENGES, Caddy, caddy_eab

pytestmark = pytest.mark.clients
ONLY = {"http-01": "disable_tlsalpn_challenge", "tls-alpn-01": "disable_http_challenge"}


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_first_start_from_empty_and_a_second_start(machine, server, clients_dir, tmp_path, challenge):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = (f"{challenge}.svc.test", f"www.{challenge}.svc.test")
    caddy = Caddy(machine, server, clients_dir, tmp_path, names, tls=f"tls {{\n issuer acme {{\n {ONLY[challenge]}\n }}\n }}")
    with caddy.running() as (_, log):
        leaves = [machine.wait_for_tls(name, server, log_path=log) for name in names]
        assert f'"challenge_type":"{challenge}"' in log.read_text(encoding="utf-8")
    with caddy.running() as (_, log):
        for name, leaf in zip(names, leaves):
            assert machine.wait_for_tls(name, server, log_path=log).serial_number == leaf.serial_number


def test_with_nothing_but_a_directory_and_a_root(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    """Caddy's own choice among the challenges that are offered."""
    with Caddy(machine, server, clients_dir, tmp_path, ["plain.svc.test"]).running() as (_, log):
        machine.wait_for_tls("plain.svc.test", server, log_path=log)


@WITH_EAB
def test_external_account(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    with Caddy(machine, server, clients_dir, tmp_path, ["eab.svc.test"], options=caddy_eab(server)).running() as (_, log):
        machine.wait_for_tls("eab.svc.test", server, log_path=log)
