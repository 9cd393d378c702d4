"""The newest Traefik, whose ACME client is the newest lego's, against ours and against Pebble: http-01, tls-alpn-01, external account."""
import pytest

from clients_topology import WITH_EAB, machine, server  # noqa: F401 # pylint: disable=unused-import
from newest import make_traefik
from traefik import ETC

pytestmark = pytest.mark.clients
HOWS = {"http-01": "httpChallenge: {entryPoint: web}", "tls-alpn-01": "tlsChallenge: {}"}


@pytest.mark.parametrize("challenge", HOWS)
def test_first_start_from_empty_and_a_second_start(machine, server, clients_dir, tmp_path, challenge):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = [f"{challenge}.svc.test", f"www.{challenge}.svc.test"]
    traefik = make_traefik(machine, server, clients_dir, tmp_path, [{"main": names[0], "sans": names[1:]}], HOWS[challenge])
    with traefik:
        assert traefik.wait_for(names[0]) == sorted(names)
    kept = (ETC / "acme.json").read_bytes()
    with traefik:
        assert traefik.wait_for(names[1]) == sorted(names)
    assert (ETC / "acme.json").read_bytes() == kept


@WITH_EAB
@pytest.mark.parametrize("challenge", HOWS)
def test_external_account(machine, server, clients_dir, tmp_path, challenge):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = f"eab-{challenge}.svc.test"
    with make_traefik(machine, server, clients_dir, tmp_path, [{"main": name}], HOWS[challenge], with_eab=True) as traefik:
        assert traefik.wait_for(name) == [name]
