"""Two machines and a server that is either ours or Debian's Pebble: the ground of the scenarios with other people's clients.

The server stands at CA_ADDRESS in the scenario's own namespace. The client's machine is a network namespace of its own at INGRESS, the
address of every name below svc.test, so its ports 80 and 443 are what http-01 and tls-alpn-01 ask. Its resolver is the server's.
Import the fixtures that a file uses: `from clients_topology import machine, server  # noqa: F401`.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from appliance import SECRET, Appliance, client, environment
from jws_client import names_of, split_chain
from namespace import CA_ADDRESS, INGRESS, Host, scratch_etc, write_resolv_conf
from pebble import EAB_CLIENTS, Pebble
from tools import run

DOOR_ADDRESS = "10.99.0.7"  # the appliance, where CA_ADDRESS is Pebble's
TRUST_DIRECTORY = "/usr/local/share/ca-certificates"
OPEN_DIRECTORY = "/srv"
START_DEADLINE_S = 60


class Bailiwick(Appliance):
    """The appliance at one address, so that its ports are not every machine's; with what the scenarios ask of any server."""

    kind = "bailiwick"
    directory_path = "/acme/directory"

    def __init__(self, directory, address=CA_ADDRESS, preauthorized=False, **changes):
        listen = {"https": [f"{address}:443"], "http": ["127.0.0.1:80", f"{address}:80"], "dns": ["127.0.0.1:53", f"{address}:53"]}
        clients = [client(name, secret, "svc.test", "*.svc.test", preauthorized=preauthorized) for name, secret in EAB_CLIENTS.items()]
        super().__init__(directory, listen=listen, addresses=[address], resolvers=[f"{address}:53"], clients=clients, **changes)
        self.eab = ("lego", SECRET)

    @property
    def roots(self):
        return (pathlib.Path(self.root_pem),)

    def is_revoked(self, certificate):
        """None when it is good, the reason code when it is revoked."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state}/bailiwick.db?mode=ro", uri=True)) as database:
            row = database.execute("SELECT revoked_unix, reason FROM certificate WHERE ltrim(serial, '0') = ?",
                                   (f"{certificate.serial_number:x}",)).fetchone()
        assert row, "the certificate is not in the store"
        return row[1] if row[0] else None


@contextlib.contextmanager
def running(*servers):
    """Start each, yield the last; at the end stop and judge each, and leave nothing behind whatever the verdict."""
    try:
        for one in servers:
            one.start()
        yield servers[-1]
        for one in reversed(servers):
            one.stop()
    finally:
        for one in servers:
            one.discard()


ACME = {  # what a variant of ours has in its acme: block
    "": {}, "preauthorized": {}, "eab": {"external_account_required": True}, "addresses": {"ip_networks": [f"{INGRESS}/32"]}}


def make_servers(kind, directory):
    """The servers that a kind of scenario needs, in the order of their start; the last one is the CA.

    bailiwick, pebble: the CA alone. -eab: it wants an external account. bailiwick-addresses: ours issues for the client's address as
    well (Pebble does so by itself). bailiwick-preauthorized: its clients need no challenge. pebble-dns: Pebble, which has no DNS of its
    own, with our DNS as its resolver and our doors as the way for dns-01's values; they are `one.door` for either CA.
    """
    if kind == "pebble-dns":
        door = Bailiwick(directory / "door", DOOR_ADDRESS)
        pebble = Pebble(directory, resolver=f"{DOOR_ADDRESS}:53", host=CA_ADDRESS)
        pebble.door = door
        return door, pebble
    program, _, variant = kind.partition("-")
    if program == "pebble":
        return (Pebble(directory, variant == "eab"),)
    one = Bailiwick(directory, acme={"authorization_reuse": 0, **ACME[variant]}, preauthorized=variant == "preauthorized")
    one.door = one
    return (one,)


@pytest.fixture(scope="module", params=["bailiwick", "pebble"])
def server(request, resolv_conf, tmp_path_factory):
    """The CA of the scenario: ours, then Pebble in strict mode. The marks below choose other kinds."""
    write_resolv_conf(resolv_conf, DOOR_ADDRESS if request.param == "pebble-dns" else CA_ADDRESS)
    with running(*make_servers(request.param, tmp_path_factory.mktemp(request.param))) as one:
        yield one


def kinds(*names):
    return pytest.mark.parametrize("server", names, indirect=True, scope="module")


WITH_EAB = kinds("bailiwick-eab", "pebble-eab")
WITH_DNS = kinds("bailiwick", "pebble-dns")
WITH_ADDRESSES = kinds("bailiwick-addresses", "pebble")
PREAUTHORIZED = kinds("bailiwick-preauthorized")  # Pebble has nothing of the kind
OURS = kinds("bailiwick")  # for what Pebble 2.4 does not have: renewal information, profiles


class Machine:
    """The client's machine: programs run in its network namespace, with the scenario's mounts."""

    def __init__(self, host, directory):
        self.host, self.directory = host, pathlib.Path(directory)

    def run(self, *command, **more):
        return run(*self.host.command(*command), **more)

    @contextlib.contextmanager
    def spawn(self, *command, port=None, env=None, stop=signal.SIGTERM, **more):
        """A daemon on that machine; waits until `port` is open; yields (process, path of its log)."""
        log_path = self.directory / f"{pathlib.Path(str(command[0])).name}-{time.monotonic_ns()}.log"
        with open(log_path, "wb") as log:
            # pylint: disable=consider-using-with
            process = subprocess.Popen(self.host.command(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env=env or environment(), **more)
        try:
            if port:
                wait_open(port, process, log_path)
            yield process, log_path
        finally:
            process.send_signal(stop)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def webroot(self, directory):
        """A plain web server on port 80 that serves `directory`."""
        with self.spawn("/usr/bin/python3", "-m", "http.server", "--directory", directory, 80, port=80):
            yield pathlib.Path(directory)

    def tls(self, name, server, port=443):
        """The certificates served for `name`, verified below the server's roots; None while there are none."""
        done = run(*self.host.command("openssl", "s_client", "-connect", f"{INGRESS}:{port}", "-servername", name, "-showcerts",
                                      "-verify_return_error", "-verify_hostname", name, "-CAfile", server.root_pem), expect=None)
        return split_chain(done.text[done.text.index("-----BEGIN"):]) if done.returncode == 0 and "-----BEGIN" in done.text else None

    def wait_for_tls(self, name, server, deadline_s=60, log_path=None, differs_from=None, shown=None):
        """Wait until a verified certificate is served for `name` (another one than `differs_from`) and names it, or `shown`."""
        deadline = time.monotonic() + deadline_s
        while True:
            chain = self.tls(name, server)
            if chain and (differs_from is None or chain[0].serial_number != differs_from.serial_number):
                assert (shown or name) in names_of(chain[0])
                return chain[0]
            log = log_path.read_text(encoding="utf-8", errors="replace")[-6000:] if log_path else ""
            assert time.monotonic() < deadline, f"no certificate for {name} within {deadline_s} s:\n{log}"
            time.sleep(0.25)


def wait_open(port, process, log_path):
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            socket.create_connection((INGRESS, port), timeout=5).close()
            return
        except OSError:
            log = log_path.read_text(encoding="utf-8", errors="replace")[-4000:]
            assert process.poll() is None, f"ended with {process.returncode}:\n{log}"
            assert time.monotonic() < deadline, f"port {port} is not open:\n{log}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def machine(resolv_conf, tmp_path_factory):
    """The client's machine, which trusts nothing by itself. Its /etc is scratch."""
    directory = tmp_path_factory.mktemp("machine")
    (directory / "etc").mkdir()
    with scratch_etc(str(directory / "etc"), resolv_conf), Host() as host:
        yield Machine(host, directory)


def trust(server):
    """What an administrator does on Debian: the root into the system's store."""
    for old in pathlib.Path(TRUST_DIRECTORY).glob("test-*.crt"):
        old.unlink()
    for number, path in enumerate(server.roots):
        shutil.copy(path, f"{TRUST_DIRECTORY}/test-{number}.crt")
    run("update-ca-certificates", "--fresh")


@contextlib.contextmanager
def trust_directory():
    """A scratch directory over the one that the administrator fills."""
    run("mount", "-t", "tmpfs", "tmpfs", TRUST_DIRECTORY)
    try:
        yield
    finally:
        run("umount", "--lazy", TRUST_DIRECTORY)


@pytest.fixture(scope="module")
def trusting_machine(machine, server):
    """The client's machine with the server's root in the system's store."""
    with trust_directory():
        trust(server)
        yield machine


@pytest.fixture
def open_directory(resolv_conf):
    """An empty directory of the scenario's own that every user can enter: pytest keeps its own ones to itself."""
    assert resolv_conf
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", OPEN_DIRECTORY)
    try:
        yield pathlib.Path(OPEN_DIRECTORY)
    finally:
        run("umount", "--lazy", OPEN_DIRECTORY)


def write_script(path, text):
    path = pathlib.Path(path)
    path.write_text("#!/bin/sh\nset -eu\n" + text, encoding="utf-8")
    os.chmod(path, 0o755)
    return path


def check_chain(server, path, *names):
    """The chain in the file leads to the server's root, the leaf has these names; returns the leaf."""
    path = pathlib.Path(path)
    chain = split_chain(path.read_text(encoding="ascii"))
    assert len(chain) >= 2, "the file holds no intermediate"
    return check_leaf(server, path, path, *names)


def check_leaf(server, leaf_path, chain_path, *names):
    """For clients that keep the leaf and the rest in two files."""
    strict = ["-x509_strict"] if server.kind == "bailiwick" else []  # Pebble's roots have no key usage
    done = run("openssl", "verify", *strict, "-CAfile", server.root_pem, "-untrusted", chain_path, leaf_path)
    assert done.text.strip().endswith("OK"), done.text
    leaf = split_chain(pathlib.Path(leaf_path).read_text(encoding="ascii"))[0]
    assert names_of(leaf) == sorted(names)
    return leaf
