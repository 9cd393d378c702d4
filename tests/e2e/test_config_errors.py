"""Configuration that is wrong: line, column, what was expected; exit code 3; and the port that is taken."""
import re
import socket

import pytest

from appliance import SECRET

CONFIG_EXIT = 3

# text, line, column, words that the message must hold
CASES = {
    "fasle": ("zones: [svc.test]\nopen: fasle\n", 2, 7, ("open", "true", "false")),
    "yes is no boolean": ("open: yes\n", 1, 7, ("true", "false")),
    "True is no boolean": ("open: True\n", 1, 7, ("true", "false")),
    "unknown key": ("zones: [svc.test]\nzonse: []\n", 2, 1, ("zonse",)),
    "unknown inner key": ("acme:\n  authorisation_reuse: 1h\n", 2, 3, ("authorisation_reuse",)),
    "text for a list": ("addresses: 10.8.10.253\n", 1, 12, ("list",)),
    "list for a text": ("hostname: [a, b]\n", 1, 11, ("hostname",)),
    "mapping for a text": ("hostname: {a: b}\n", 1, 11, ("hostname",)),
    "no address": ("addresses: [10.8.10.256]\n", 1, 13, ("10.8.10.256",)),
    "no endpoint": ("listen:\n  dns: [\"10.8.10.253:dns\"]\n", 2, 9, ("port",)),
    "port 65536": ("listen: {https: [\"0.0.0.0:65536\"]}\n", 1, 18, ("65536",)),
    "no duration": ("acme: {authorization_reuse: 5 apples}\n", 1, 29, ("duration", "15m")),
    "negative number": ("acme: {orders_per_page: -1}\n", 1, 25, ("-1",)),
    "negative limit": ("acme:\n  rate_limits: {orders: -1}\n", 2, 25, ("-1", "whole number")),
    "no such limit": ("acme:\n  rate_limits: {order: 5}\n", 2, 17, ("orders",)),
    "port 0": ("validation: {http_port: 0}\n", 1, 25, ("65535",)),
    "target that is no network": ("validation: {allow: [localhost]}\n", 1, 22, ("localhost",)),
    "caa mode": ("acme: {caa: strict}\n", 1, 13, ("report", "enforce", "off")),
    "built-in profile": ("profiles:\n  - {name: short, lifetime: 7d}\n", 2, 12, ("short", "built in")),
    "profile without a lifetime": ("profiles:\n  - {name: week}\n", 2, 5, ("lifetime",)),
    "profile of years": ("profiles:\n  - {name: long, lifetime: 900d}\n", 2, 28, ("825d",)),
    "usage": ("profiles:\n  - {name: mail, lifetime: 7d, usages: [email]}\n", 2, 41, ("server-auth", "client-auth")),
    "preauthorized for nothing": (f"clients:\n  - {{name: a, secret: {SECRET}, preauthorized: true}}\n", 2, 5, ("names",)),
    "bad zone": ("zones: [\"-x\"]\n", 1, 9, ("-x",)),
    "zone without a name": ("zones: [{ingress: [10.0.0.1]}]\n", 1, 9, ("name",)),
    "duplicate key": ("open: true\nopen: true\n", 2, 1, ("open",)),
    "alias": ("zones: &a [svc.test]\nresolvers: *a\n", 2, 12, ("alias",)),
    "short secret": ("zones: [svc.test]\nclients: [{name: a, secret: short, names: [svc.test]}]\n", 2, 29, ("32",)),
    "secret with a sign": (f"zones: [svc.test]\nclients: [{{name: a, secret: \"{'x' * 40}-+!-\", names: [svc.test]}}]\n", 2, 29, ("letters",)),
    "secret of 33": (f"zones: [svc.test]\nclients: [{{name: a, secret: {'x' * 33}, names: [svc.test]}}]\n", 2, 29, ("4",)),
    "not yaml": ("zones: [svc.test\nopen: true\n", None, None, ()),
    "a tab": ("zones:\n\t- svc.test\n", 2, None, ()),
    "two documents": ("open: true\n---\nopen: true\n", None, None, ()),
    "a list at the top": ("- svc.test\n", 1, 1, ()),
    "nul": ("open: \0\n", 1, None, ()),
}


def write(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def idle(make_appliance):
    """An appliance that is not started: only its command line is used."""
    return make_appliance()


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize("text,line,column,words", CASES.values(), ids=CASES.keys())
def test_a_fault_in_the_file(idle, tmp_path, text, line, column, words, command):
    idle.config_path = write(tmp_path, text)
    done = idle.cli(command, expect=CONFIG_EXIT)
    said = done.stderr + done.stdout
    place = re.search(r"bad\.yaml:(\d+):(\d+): ", said)
    assert place, said
    if line is not None:
        assert int(place.group(1)) == line, said
    if column is not None:
        assert int(place.group(2)) == column, said
    for word in words:
        assert word in said, said


def test_every_fault_is_told_at_once(idle, tmp_path):
    idle.config_path = write(tmp_path, "open: fasle\nzonse: []\nhostname: [a]\n")
    said = idle.cli("check", expect=CONFIG_EXIT).stderr
    assert len(re.findall(r"bad\.yaml:\d+:\d+: ", said)) == 3, said


@pytest.mark.parametrize("config,words", [
    ({"zones": [{"name": "."}]}, ("delegate_zone",)),
    ({"zones": [{"name": "."}], "delegate_zone": "acme.svc.test", "open": True}, ("open_any_name",)),
    ({"clients": [{"name": "a", "secret": SECRET, "names": ["*.*.svc.test"]}]}, ("names",)),
    ({"clients": [{"name": "a", "secret": SECRET, "names": ["svc.test"]}] * 2}, ("a",)),
    ({"clients": [{"name": "a", "secret_file": "/nonexistent/secret", "names": ["svc.test"]}]}, ("/nonexistent/secret",)),
    ({"zones": [{"name": "svc.test"}, {"name": "svc.test"}]}, ("svc.test",)),
], ids=str)
def test_settings_that_do_not_fit_together(idle, config, words):
    idle.config.update(config)
    idle.write_config()
    said = idle.cli("check", expect=CONFIG_EXIT).stderr
    for word in words:
        assert word in said, said


def test_a_file_that_is_not_there(idle, tmp_path):
    idle.config_path = tmp_path / "none.yaml"
    assert "none.yaml" in idle.cli("serve", expect=CONFIG_EXIT).stderr


def test_a_fine_file(idle):
    idle.write_config()
    idle.cli("check")


@pytest.mark.parametrize("kind,port", [(socket.SOCK_STREAM, 443), (socket.SOCK_STREAM, 80), (socket.SOCK_STREAM, 53), (socket.SOCK_DGRAM, 53)])
def test_a_port_in_use(make_appliance, kind, port):
    app = make_appliance()
    app.write_config()
    with socket.socket(socket.AF_INET, kind) as taken:
        if kind == socket.SOCK_STREAM:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        done = app.cli("serve", expect=None)
    assert done.returncode not in (0, CONFIG_EXIT) and done.returncode > 0, done
    said = done.stderr + done.stdout
    assert f":{port}" in said and ("in use" in said or "listens there" in said), said
    app.start()
