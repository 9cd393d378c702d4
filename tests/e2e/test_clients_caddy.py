"""Debian's Caddy against ours and against Pebble: http-01, tls-alpn-01, external account; a restart keeps what it has."""
import pytest

from appliance import environment
from clients_topology import PREAUTHORIZED, WITH_EAB, machine, server  # noqa: F401 # pylint: disable=unused-import
from jws_client import names_of

CADDYFILE = """
{{
    email admin@svc.test
    acme_ca {directory}
    acme_ca_root {root}
    {more}
}}
{names} {{
    tls {{
        issuer acme {{
            {challenge}
        }}
    }}
    respond "it is here"
}}
"""
CHALLENGES = {"http-01": "disable_tlsalpn_challenge", "tls-alpn-01": "disable_http_challenge"}


class Caddy:
    """One installation: a Caddyfile and a home directory that starts empty."""

    def __init__(self, machine, server, directory, names, challenge, more=""):  # noqa: F811 # pylint: disable=redefined-outer-name
        self.machine, self.home, self.file = machine, directory / "home", directory / "Caddyfile"
        self.home.mkdir()
        self.file.write_text(CADDYFILE.format(directory=server.directory_url, root=server.root_pem, names=", ".join(names), more=more,
                                              challenge=challenge), encoding="utf-8")

    def running(self):
        return self.machine.spawn("caddy", "run", "--config", self.file, "--adapter", "caddyfile", port=443,
                                  env=environment(HOME=str(self.home), XDG_DATA_HOME=str(self.home), XDG_CONFIG_HOME=str(self.home)))


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_first_start_from_empty_and_a_second_start(machine, server, tmp_path, challenge):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = (f"{challenge}.svc.test", f"www.{challenge}.svc.test")
    caddy = Caddy(machine, server, tmp_path, names, CHALLENGES[challenge])
    with caddy.running() as (_, log):
        leaves = [machine.wait_for_tls(name, server, log_path=log) for name in names]
        assert f'"challenge_type":"{challenge}"' in log.read_text(encoding="utf-8")
    with caddy.running() as (_, log):
        for name, leaf in zip(names, leaves):
            assert machine.wait_for_tls(name, server, log_path=log).serial_number == leaf.serial_number


@WITH_EAB
def test_external_account(machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    kid, key = server.eab
    caddy = Caddy(machine, server, tmp_path, ("eab.svc.test",), "", f"acme_eab {{\n key_id {kid}\n mac_key {key}\n}}")
    with caddy.running() as (_, log):
        machine.wait_for_tls("eab.svc.test", server, log_path=log)


@PREAUTHORIZED
def test_wildcard_without_any_challenge(machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    """A stock Caddy, no DNS plug-in; nothing listens where a challenge would be answered, as both kinds are off."""
    kid, key = server.eab
    caddy = Caddy(machine, server, tmp_path, ("*.svc.test", "svc.test"), "disable_http_challenge\ndisable_tlsalpn_challenge",
                  f"acme_eab {{\n key_id {kid}\n mac_key {key}\n}}")
    with caddy.running() as (_, log):
        leaf = machine.wait_for_tls("anything.svc.test", server, log_path=log, shown="*.svc.test")
        assert names_of(leaf) == ["*.svc.test"]
        machine.wait_for_tls("svc.test", server, log_path=log)
