"""What ISC's compliance tester (genreport) asks a server, under its names for the questions, and what it judges of the answers: in our own
words, and stricter where an RFC is. A fault is a word; no faults is the tester's "ok"."""
import dataclasses
import struct

import dns.exception
import dns.name

SOA, TXT, OPT, DNSKEY, RRSIG, TSIG = 6, 16, 41, 48, 46, 250
QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
DO = 0x8000
NOERROR, NOTIMP, BADVERS = 0, 4, 16
NSID_CODE, ECS_CODE, EXPIRE_CODE, COOKIE_CODE, EDE_CODE, UNKNOWN_CODE = 3, 8, 9, 10, 15, 100
CLIENT_COOKIE = bytes(range(1, 9))
UDP_EDNS_MAX = 1232


def option(code, data=b""):
    return struct.pack("!HH", code, len(data)) + data


NSID, EXPIRE, UNKNOWN = option(NSID_CODE), option(EXPIRE_CODE), option(UNKNOWN_CODE)
ECS = option(ECS_CODE, bytes.fromhex("00010000"))
COOKIE = option(COOKIE_CODE, CLIENT_COOKIE)


@dataclasses.dataclass(frozen=True)
class Row:
    """A question; size: that of the OPT record, None without one."""
    kind: int = SOA
    bits: int = 0
    opcode: int = 0
    size: int = None
    version: int = 0
    edns_flags: int = 0
    options: bytes = b""

    def opt(self):
        return b"\0" + struct.pack("!HHBBHH", OPT, self.size, 0, self.version, self.edns_flags, len(self.options)) + self.options

    def wire(self, zone, ident=0x4953, more_bits=0):
        """An unknown opcode comes as a header alone."""
        has_edns = self.size is not None
        head = struct.pack("!HHHHHH", ident, self.bits | more_bits | self.opcode << 11, int(self.opcode == 0), 0, 0, int(has_edns))
        question = dns.name.from_text(zone).to_wire() + struct.pack("!HH", self.kind, 1) if self.opcode == 0 else b""
        return head + question + (self.opt() if has_edns else b"")


ROWS = {
    "dns": Row(), "aa": Row(bits=AA), "ad": Row(bits=AD), "cd": Row(bits=CD), "ra": Row(bits=RA), "rd": Row(bits=RD), "tc": Row(bits=TC),
    "zflag": Row(bits=Z), "opcode": Row(opcode=15), "opcodeflg": Row(opcode=15, bits=AA | TC | RD | RA | Z | AD | CD),
    "type666": Row(kind=666), "tcp": Row(), "edns": Row(size=4096), "edns1": Row(size=4096, version=1),
    "edns@512": Row(kind=DNSKEY, size=512), "ednsopt": Row(size=4096, options=UNKNOWN),
    "edns1opt": Row(size=4096, version=1, options=UNKNOWN), "do": Row(size=4096, edns_flags=DO),
    "docd": Row(size=4096, edns_flags=DO, bits=CD), "edns1do": Row(size=4096, version=1, edns_flags=DO),
    "ednsflags": Row(size=4096, edns_flags=0x0080), "optlist": Row(size=4096, options=NSID + ECS + EXPIRE + COOKIE),
    "ednsnsid": Row(size=4096, options=NSID), "ednscookie": Row(size=4096, options=COOKIE), "ednsexpire": Row(size=4096, options=EXPIRE),
    "ednssubnet": Row(size=4096, options=ECS), "edns1nsid": Row(size=4096, version=1, options=NSID),
    "edns1cookie": Row(size=4096, version=1, options=COOKIE), "edns1expire": Row(size=4096, version=1, options=EXPIRE),
    "edns1subnet": Row(size=4096, version=1, options=ECS), "ednstcp": Row(kind=DNSKEY, size=512, edns_flags=DO),
    "bind11": Row(size=4096, edns_flags=DO, options=COOKIE), "dig11": Row(size=4096, options=COOKIE, bits=RD | AD),
}
# What it does not ask, but a next version of it may: the highest version, all flags that are free, options of ours and of tomorrow.
ROWS |= {
    "edns255": Row(size=4096, version=255), "ednsflagsall": Row(size=4096, edns_flags=0xFFFF), "ednssize0": Row(size=0),
    "edns1flags": Row(size=4096, version=1, edns_flags=0x7FFF), "ednskeepalive": Row(size=4096, options=option(11)),
    "ednspadding": Row(size=4096, options=option(12, bytes(64))), "ednsede": Row(size=4096, options=option(EDE_CODE, b"\0\0")),
    "ednslocal": Row(size=4096, options=option(65001, b"local") + option(65535)), "flagsall": Row(bits=AA | TC | RD | RA | Z | AD | CD),
    **{f"opcode{code}": Row(opcode=code) for code in (1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14)},
}

# The tester's types, asked at the zone's name; the last line has those that came after it, and some that nobody assigned.
TYPES = {
    "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10, "WKS": 11, "PTR": 12, "HINFO": 13,
    "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18, "X25": 19, "ISDN": 20, "RT": 21, "NSAP": 22, "NSAP-PTR": 23, "SIG": 24,
    "KEY": 25, "PX": 26, "GPOS": 27, "AAAA": 28, "LOC": 29, "NXT": 30, "SRV": 33, "NAPTR": 35, "KX": 36, "CERT": 37, "A6": 38, "DNAME": 39,
    "APL": 42, "DS": 43, "SSHFP": 44, "IPSECKEY": 45, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50, "NSEC3PARAM": 51,
    "TLSA": 52, "SMIMEA": 53, "HIP": 55, "CDS": 59, "CDNSKEY": 60, "OPENPGPKEY": 61, "SPF": 99, "NID": 104, "L32": 105, "L64": 106,
    "LP": 107, "EUI48": 108, "EUI64": 109, "URI": 256, "CAA": 257, "AVC": 258, "DOA": 259, "DLV": 32769, "TYPE1000": 1000,
    "EID": 31, "NIMLOC": 32, "ATMA": 34, "SINK": 40, "NINFO": 56, "RKEY": 57, "TALINK": 58, "CSYNC": 62, "ZONEMD": 63, "SVCB": 64,
    "HTTPS": 65, "UNSPEC": 103, "AMTRELAY": 260, "RESINFO": 261, "WALLET": 262, "TA": 32768, "TYPE128": 128, "TYPE200": 200, "TYPE62347": 62347,
    "TYPE65280": 65280, "TYPE65534": 65534,
}
ROWS |= {name: Row(kind=code) for name, code in TYPES.items()}


class Malformed(Exception):
    """An answer whose octets are no message."""


class Reply:
    """A message read to its last octet: header, question, three sections of (owner, type, class, ttl, rdata), options of the OPT record."""

    def __init__(self, wire):
        try:
            self._read(wire)
        except (struct.error, dns.exception.DNSException, IndexError) as error:
            raise Malformed(str(error)) from error

    def _read(self, wire):
        self.wire = wire
        self.ident, self.bits, *self.counts = struct.unpack("!HHHHHH", wire[:12])
        self.at = 12
        self.questions = [(self._name(), *self._take("!HH")) for _ in range(self.counts[0])]
        self.question_end = self.at
        self.answer, self.authority, self.additional = ([self._record() for _ in range(count)] for count in self.counts[1:])
        if self.at != len(wire):
            raise Malformed("octets behind the last record")
        self.opts = [record for record in self.additional if record[1] == OPT]
        others = self.answer + self.authority
        if len(self.opts) > 1 or any(owner != dns.name.root for owner, *_ in self.opts) or any(record[1] in (OPT, TSIG) for record in others):
            raise Malformed("OPT and TSIG: one each, in the additional section, OPT at the root")
        if any(record[1] == TSIG for record in self.additional[:-1]):
            raise Malformed("TSIG is not the last record")
        self.tsig = self.additional[-1] if self.additional and self.additional[-1][1] == TSIG else None
        _, _, self.size, self.edns, rdata = self.opts[0] if self.opts else (None, None, None, 0, b"")
        self.options = list(self._options(rdata))
        self.rcode = self.bits & 0xF | self.edns >> 24 << 4

    def _take(self, form):
        values = struct.unpack_from(form, self.wire, self.at)
        self.at += struct.calcsize(form)
        return values

    def _name(self):
        name, used = dns.name.from_wire(self.wire, self.at)
        self.at += used
        return name

    def _record(self):
        owner = self._name()
        kind, rdclass, ttl, length = self._take("!HHIH")
        rdata = self.wire[self.at:self.at + length]
        if len(rdata) != length:
            raise Malformed("a record is cut off")
        self.at += length
        return owner, kind, rdclass, ttl, rdata

    @staticmethod
    def _options(rdata):
        while rdata:
            code, length = struct.unpack("!HH", rdata[:4])
            if len(rdata) < 4 + length:
                raise Malformed("an option is cut off")
            yield code, rdata[4:4 + length]
            rdata = rdata[4 + length:]


def header_faults(row, query, reply, is_forwarded):
    """Bits: for QUERY RD comes back, and CD in what was forwarded (RFC 4035 §3.1.6, §3.2.2); for another opcode nothing. RA: who may
    have things forwarded."""
    is_query = row.opcode == 0
    asked = struct.unpack("!H", query[2:4])[0]
    is_data = is_query and row.version == 0
    wanted = QR | (AA if is_data and not is_forwarded else 0) | RA
    wanted |= asked & (RD | (CD if is_data and is_forwarded else 0)) if is_query else 0
    names = {QR: "qr", AA: "aa", TC: "tc", RD: "rd", RA: "ra", Z: "z", AD: "ad", CD: "cd"}
    return [("no" if wanted & bit else "") + name for bit, name in names.items() if (reply.bits ^ wanted) & bit]


def opt_faults(row, reply):
    if row.size is None:
        return ["opt"] if reply.opts else []
    if not reply.opts:
        return ["noopt"]
    faults = ["version-not-zero"] if reply.edns >> 16 & 0xFF else []
    faults += ["mbz"] if reply.edns & 0x7FFF else []
    faults += ["size"] if reply.size != UDP_EDNS_MAX else []
    return faults + ([] if reply.edns & DO == row.edns_flags & DO else ["do"])  # RFC 3225 §3


def option_faults(row, reply):
    """Options that are ours to say: the cookie of who sent one, and a reason where there is one."""
    codes = [code for code, _ in reply.options]
    faults = ["echoed"] if UNKNOWN_CODE in codes else []
    faults += [name for name, code in (("nsid", NSID_CODE), ("subnet", ECS_CODE), ("expire", EXPIRE_CODE)) if code in codes]
    faults += ["option"] if set(codes) - {UNKNOWN_CODE, NSID_CODE, ECS_CODE, EXPIRE_CODE, COOKIE_CODE} else []
    cookies = [data for code, data in reply.options if code == COOKIE_CODE]
    if len(cookies) != int(COOKIE in row.options):
        faults.append("cookie" if cookies else "nocookie")
    return faults + ["cookie-mismatch" for data in cookies if len(data) != 24 or data[:8] != CLIENT_COOKIE]


def section_faults(row, zone, query, reply):
    if row.opcode != 0:
        return ["non-empty"] if any(reply.counts) else []
    if reply.wire[12:reply.question_end] != query[12:reply.question_end] or len(reply.questions) != 1:
        return ["mismatch"]
    records = reply.answer + reply.authority
    if row.version != 0:
        return ["records"] if records else []
    faults = ["class"] if any(rdclass != 1 for _, _, rdclass, _, _ in records) else []
    soas = [owner for owner, kind, *_ in reply.answer if kind == SOA]
    faults += ["soa"] if soas != ([dns.name.from_text(zone)] if row.kind == SOA else []) else []
    if not reply.answer and [kind for _, kind, *_ in reply.authority if kind != RRSIG and kind != 47] != [SOA]:
        faults.append("nodata-without-soa")
    has_signatures = any(kind == RRSIG for _, kind, *_ in records)
    return faults + (["rrsig"] if has_signatures and row.kind != RRSIG and not row.edns_flags & DO else [])


def faults_of(row, zone, query, wire, is_tcp=False, is_forwarded=False):
    """Everything that is wrong with the answer."""
    try:
        reply = Reply(wire)
    except Malformed:
        return ["malformed"]
    wanted = NOTIMP if row.opcode else BADVERS if row.version else NOERROR
    faults = [] if reply.rcode == wanted else [f"rcode{reply.rcode}"]
    faults += ["id"] if wire[:2] != query[:2] else []
    faults += ["opcode"] if reply.bits >> 11 & 0xF != row.opcode else []
    faults += header_faults(row, query, reply, is_forwarded) + opt_faults(row, reply) + option_faults(row, reply)
    faults += section_faults(row, zone, query, reply)
    limit = 65535 if is_tcp else max(512, min(row.size or 0, UDP_EDNS_MAX))
    return faults + (["toobig"] if len(wire) > limit else [])
