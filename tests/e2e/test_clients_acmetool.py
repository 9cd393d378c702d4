"""Debian's acmetool against ours and against Pebble: its own listener, and a webroot with its self-test.

No revocation: `acmetool revoke` of 0.2.2 leaves a mark in its state directory and asks no server.
"""
import json

import pytest

from appliance import environment
from clients_topology import check_leaf, machine, server, trusting_machine  # noqa: F401 # pylint: disable=unused-import
from jws_client import http_session


class Acmetool:
    """One state directory, answers to its questions in a response file as for any unattended installation."""

    def __init__(self, machine, server, directory):  # noqa: F811 # pylint: disable=redefined-outer-name
        self.machine, self.server, self.state, self.webroot = machine, server, directory / "state", directory / "webroot"
        (directory / "hooks").mkdir()
        self.hooks = directory / "hooks"
        (self.state / "conf").mkdir(parents=True)
        terms = http_session(server.root_pem).get(server.directory_url, timeout=30).json().get("meta", {}).get("termsOfService")
        responses = {"acme-enter-email": "admin@svc.test", f"acme-agreement:{terms}": True}  # without terms it does not ask
        (self.state / "conf" / "responses").write_text("".join(f"{json.dumps(key)}: {json.dumps(value)}\n" for key, value in responses.items()),
                                                       encoding="ascii")
        (self.state / "conf" / "target").write_text(
            f"request:\n  provider: {server.directory_url}\n  challenge:\n    webroot-paths:\n    - {self.webroot}\n", encoding="ascii")

    def run(self, *command, expect=0):
        return self.machine.run("acmetool", "--batch", "--xlog.severity=debug", "--state", self.state, "--hooks", self.hooks, *command,
                                env=environment(), expect=expect)

    def leaf(self, *names):
        live = self.state / "live" / names[0]
        return check_leaf(self.server, live / "cert", live / "chain", *names)


@pytest.fixture
def acmetool(trusting_machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Acmetool(trusting_machine, server, tmp_path)


def test_its_own_listener(acmetool):
    acmetool.run("want", "listener.svc.test")
    acmetool.leaf("listener.svc.test")


def test_webroot_then_nothing_to_do(acmetool, tmp_path):
    names = ("webroot.svc.test", "www.webroot.svc.test")
    acmetool.webroot.mkdir()
    (tmp_path / "www" / ".well-known").mkdir(parents=True)
    (tmp_path / "www" / ".well-known" / "acme-challenge").symlink_to(acmetool.webroot)
    with acmetool.machine.webroot(tmp_path / "www"):
        acmetool.run("want", *names)
        leaf = acmetool.leaf(*names)
        acmetool.run("reconcile")
    assert acmetool.leaf(*names).serial_number == leaf.serial_number
