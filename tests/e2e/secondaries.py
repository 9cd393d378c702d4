"""BIND, Knot and NSD as secondaries of the appliance: each takes zones by AXFR and IXFR, is told by NOTIFY, and signs with TSIG."""
import struct
import subprocess
import time

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.xfr
import dns.zone

from dns_servers import Named, Server
from namespace import CA_ADDRESS
from tools import ask

KEY = "secondary"
KEY_SECRET = "e2eSecretOfTheSecondaries0123456789abcdefghi"
BIND, KNOT, NSD, NETWORK = "10.99.1.1", "10.99.1.2", "10.99.1.3", "10.99.1.0/24"
PEER = "10.99.1.9"  # the test itself, as a secondary


def add_addresses():
    """Into the scenario's namespace."""
    for address in (BIND, KNOT, NSD, PEER):
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)


class BindSecondary(Named):
    def __init__(self, directory, zones, secret=KEY_SECRET):
        blocks = [f'key "{KEY}" {{ algorithm hmac-sha256; secret "{secret}"; }};']
        blocks += [f'zone "{zone}" {{ type secondary; primaries {{ {CA_ADDRESS} key "{KEY}"; }}; file "{zone}.db"; masterfile-format text;'
                   f' transfer-source {BIND}; }};' for zone in zones]
        super().__init__(directory, *blocks, address=BIND)


class KnotSecondary(Server):
    def __init__(self, directory, zones, secret=KEY_SECRET):
        super().__init__(directory, KNOT)
        self.zones, self.secret = zones, secret

    def command(self):
        lines = ["server:", f"    rundir: {self.directory}", f"    listen: {self.address}@53", "database:", f"    storage: {self.directory}",
                 "log:", "  - target: stderr", "    any: info", "key:", f"  - id: {KEY}", "    algorithm: hmac-sha256", f"    secret: {self.secret}",
                 "remote:", "  - id: primary", f"    address: {CA_ADDRESS}@53", f"    via: {self.address}", f"    key: {KEY}",
                 "acl:", "  - id: told", f"    address: {CA_ADDRESS}", f"    key: {KEY}", "    action: notify", "zone:"]
        for zone in self.zones:
            lines += [f"  - domain: {zone}", f"    storage: {self.directory}", f"    file: {zone}.zone", "    master: primary", "    acl: told"]
        config = self.directory / "knot.conf"
        config.write_text("\n".join(lines) + "\n", encoding="ascii")
        return ["knotd", "-c", config]


class NsdSecondary(Server):
    """The last zone's differences are asked for by UDP."""

    def __init__(self, directory, zones, secret=KEY_SECRET):
        super().__init__(directory, NSD)
        self.zones, self.secret = zones, secret

    def command(self):
        lines = ["server:", f"  ip-address: {self.address}", "  username: root", '  chroot: ""', f'  zonesdir: "{self.directory}"',
                 f'  pidfile: "{self.directory}/nsd.pid"', f'  xfrdfile: "{self.directory}/xfrd.state"', f'  xfrdir: "{self.directory}"',
                 f'  zonelistfile: "{self.directory}/zone.list"', '  database: ""', "  server-count: 1", "  verbosity: 2", "  zonefiles-write: 1",
                 "remote-control:", "  control-enable: no", "key:", f"  name: {KEY}", "  algorithm: hmac-sha256", f'  secret: "{self.secret}"']
        for zone in self.zones:
            transport = "UDP " if zone == self.zones[-1] else ""
            lines += ["zone:", f"  name: {zone}", f"  zonefile: {zone}.zone", f"  request-xfr: {transport}{CA_ADDRESS} {KEY}",
                      f"  allow-notify: {CA_ADDRESS} {KEY}", f"  outgoing-interface: {self.address}"]
        config = self.directory / "nsd.conf"
        config.write_text("\n".join(lines) + "\n", encoding="ascii")
        return ["nsd", "-d", "-c", config]


def serial(zone, server=CA_ADDRESS):
    """None while the server does not have the zone."""
    try:
        answer = ask(zone, "SOA", server)
    except dns.exception.Timeout:
        return None
    return answer.answer[0][0].serial if answer.answer else None


def wait_for(statement, what, bound_s=30):
    """Nothing here says when a secondary is done: ask until it is."""
    deadline = time.monotonic() + bound_s
    while True:
        value = statement()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {bound_s} s: {what}"
        time.sleep(0.02)


def wait_in_step(zone, *servers, bound_s=30):
    wanted = serial(zone)
    for server in servers:
        wait_for(lambda server=server: serial(zone, server) == wanted, f"{server} has serial {wanted} of {zone}", bound_s)
    return wanted


def keyring(secret=KEY_SECRET, name=KEY):
    return {"keyring": dns.tsigkeyring.from_text({name: secret}), "keyname": dns.name.from_text(name), "keyalgorithm": "hmac-sha256"}


def transfer(zone, source=PEER, signed=True, **key):
    """The whole zone as dnspython takes it (each message's TSIG checked). Raises what it raises."""
    taken = dns.zone.Zone(zone, relativize=False)
    query, _ = dns.xfr.make_query(taken, **(keyring(**key) if signed else {}))
    dns.query.inbound_xfr(CA_ADDRESS, taken, query, source=source, timeout=30, lifetime=120)
    return taken


def request_wire(zone, kind=dns.rdatatype.AXFR):
    """An AXFR query with its length, as TCP wants it."""
    wire = dns.message.make_query(zone, kind, id=4711).to_wire()
    return struct.pack("!H", len(wire)) + wire
