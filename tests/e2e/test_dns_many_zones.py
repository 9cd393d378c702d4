"""A company's secondary that holds many zones of ours: at its start it asks for all of them at once, and gets them without one SERVFAIL; while
it does, others have their turns, and strangers take none."""
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from appliance import SECRET, Appliance, client, configuration
from namespace import CA_ADDRESS
from secondaries import BIND, KEY, KEY_SECRET, PEER, BindSecondary, add_addresses, request_wire, transfer, wait_in_step
from tools import ask

N = 20
ZONES = [f"z{i}.test" for i in range(N)]
OPEN = "open.test"  # for who comes from PEER, unsigned
PIPELINED = 64
FILE = "$TTL 300\n" + "".join(f"n{i} TXT \"{i:0>200}\"\n" for i in range(2000))


@pytest.fixture(scope="module")
def ours(resolv_conf, tmp_path_factory):  # pylint: disable=unused-argument
    add_addresses()
    directory = tmp_path_factory.mktemp("ours")
    file = directory / "zone"
    file.write_text(FILE, encoding="ascii")
    zones = [{"name": zone, "plain": True, "file": str(file), "transfer": {"key": KEY}} for zone in ZONES]
    zones += [{"name": OPEN, "plain": True, "file": str(file), "transfer": {"allow": [PEER]}}]
    one = Appliance(directory, configuration(
        directory / "state", hostname="ca.z0.test", delegate_zone="acme.z0.test", zones=zones,
        listen={"https": [f"{CA_ADDRESS}:443"], "http": ["127.0.0.1:80"], "dns": [f"{CA_ADDRESS}:53"]},
        clients=[client("lego", SECRET, "*.z0.test"), client(KEY, KEY_SECRET)]))
    try:
        yield one.start()
        one.stop()
    finally:
        one.discard()


def test_bind_gets_all_its_zones_at_its_start(ours, tmp_path):
    secondary = BindSecondary(tmp_path / "bind", ZONES)
    secondary.blocks = (*secondary.blocks, f"server {CA_ADDRESS} {{ transfers {N}; }};")
    with secondary:
        for zone in ZONES:
            wait_in_step(zone, BIND, bound_s=60)
        assert ask("n1999.z19.test", "TXT", BIND).answer
        log = secondary.log()
    assert log.count("Transfer status: success") == N
    assert "SERVFAIL" not in log and "failed" not in log.replace("loading from master file", ""), log
    assert ours.log().count("ev=dns.transfer.done") >= N


def read_all(peer):
    """The SOA records of all transfers: two of each."""
    ends = 0
    with peer.makefile("rb") as stream:
        while ends < 2 * PIPELINED:
            length, = struct.unpack("!H", stream.read(2))
            message = dns.message.from_wire(stream.read(length), xfr=True, one_rr_per_rrset=True)
            assert message.rcode() == dns.rcode.NOERROR
            ends += sum(rrset.rdtype == dns.rdatatype.SOA for rrset in message.answer)
    return ends


def test_as_many_as_a_secondary_may_ask_for_at_once(ours):
    """Sent in one go: they wait, and meanwhile other addresses transfer, and strangers are refused."""
    query = dns.message.make_query(ZONES[1], "AXFR")
    with socket.create_connection((CA_ADDRESS, 53), source_address=(PEER, 0), timeout=60) as peer, ThreadPoolExecutor(1) as pool:
        peer.sendall(PIPELINED * request_wire(OPEN))
        reading = pool.submit(read_all, peer)
        for _ in range(3):
            assert len(transfer(ZONES[1], source=BIND).nodes) == 2001
            for _ in range(10):
                assert dns.query.tcp(query, CA_ADDRESS, timeout=30).rcode() == dns.rcode.REFUSED
        assert reading.result(120) == 2 * PIPELINED
    assert "ev=dns.transfer.cut" not in ours.log()
