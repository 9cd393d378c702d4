"""Response rate limiting: a flood from one network is slipped and dropped, others, TCP and good cookies are not."""
import socket
import struct

import dns.edns
import dns.flags
import dns.message
import dns.query

from namespace import CA_ADDRESS, OUTSIDE
from tools import ask


def question(name="www.svc.test", kind="A", **options):
    query = dns.message.make_query(name, kind, **options)
    query.flags &= ~dns.flags.RD
    return query.to_wire()


def flood(source, count, wire):
    """(whole answers, truncated ones, silence) for questions sent at once from one address."""
    whole = cut = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((source, 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        for number in range(count):
            udp.sendto(struct.pack("!H", number & 0xFFFF) + wire[2:], (CA_ADDRESS, 53))
        udp.settimeout(2)
        while True:
            try:
                answer = udp.recv(4096)
            except TimeoutError:
                return whole, cut, count - whole - cut
            truncated = bool(struct.unpack("!H", answer[2:4])[0] & dns.flags.TC)
            assert not truncated or struct.unpack("!HHH", answer[6:12])[:2] == (0, 0), "a slipped answer holds no records"
            cut += truncated
            whole += not truncated


def test_a_rate_limit_slips_and_spares_others(make_appliance):
    make_appliance(dns={"rate_limit": 20}).start()
    whole, cut, silent = flood(OUTSIDE, 1000, question())
    assert 20 <= whole <= 200 and cut >= 100 and silent >= 100, (whole, cut, silent)
    assert ask("www.svc.test", "A", CA_ADDRESS).answer, "another network is not limited"
    reply = dns.query.tcp(dns.message.from_wire(question()), CA_ADDRESS, timeout=10, source=OUTSIDE)
    assert reply.answer, "TCP is not limited"


def test_a_good_cookie_is_not_limited(make_appliance):
    make_appliance(dns={"rate_limit": 5}).start()
    first = dns.message.make_query("www.svc.test", "A", use_edns=0, options=[dns.edns.GenericOption(10, b"12345678")])
    reply = dns.query.udp(first, CA_ADDRESS, timeout=10, source=OUTSIDE)
    (cookie,) = [option for option in reply.options if option.otype == 10]
    wire = question(use_edns=0, options=[dns.edns.GenericOption(10, cookie.data)])
    whole, cut, silent = flood(OUTSIDE, 200, wire)
    assert whole == 200, (whole, cut, silent)
