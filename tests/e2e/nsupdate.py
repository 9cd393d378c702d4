"""nsupdate and dnspython as dynamic update clients: scripts as people write them, and messages that no client would send."""
import socket
import struct

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import dns.wire

from appliance import SECRET
from namespace import CA_ADDRESS
from tools import ask, client_environment, run

VALUE, SECOND = "upd" + 40 * "1", "upd" + 40 * "2"
ALGORITHMS = ("hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")


def key_file(directory, name="lego", secret=SECRET, algorithm="hmac-sha256"):
    """A key in the form that `nsupdate -k` and acme.sh's NSUPDATE_KEY take."""
    path = directory / f"{name}-{algorithm}.key"
    path.write_text(f'key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};\n', encoding="ascii")
    return path


def nsupdate(directory, *lines, name="lego", secret=SECRET, algorithm="hmac-sha256", expect=0, options=(), key=True):
    """Feed a script to nsupdate; a `server` line and `send` are added. Returns the finished process."""
    script = directory / "script"
    script.write_text("\n".join([f"server {CA_ADDRESS}", "check-names off", *lines, "send"]) + "\n", encoding="ascii")
    keys = ["-k", key_file(directory, name, secret, algorithm)] if key else []
    return run("nsupdate", "-t", "20", *keys, *options, script, expect=expect)


def keyring(name="lego", secret=SECRET, algorithm="hmac-sha256"):
    return {"keyring": dns.tsigkeyring.from_text({name: (dns.name.from_text(algorithm), secret)}), "keyname": name, "keyalgorithm": algorithm}


def update_message(zone="svc.test", signed=True, **key):
    return dns.update.UpdateMessage(zone, **(keyring(**key) if signed else {}))


def send(message, tcp=False):
    ask = dns.query.tcp if tcp else dns.query.udp
    return ask(message, CA_ADDRESS, timeout=20)


def rcode_of(message, tcp=False):
    return dns.rcode.to_text(send(message, tcp).rcode())


def exchange(wire, tcp):
    """One message as it is, and the answer's octets. A datagram may be lost, so it is sent again, as every client does."""
    if not tcp:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(5)
            for _ in range(3):
                udp.sendto(wire, (CA_ADDRESS, 53))
                try:
                    return udp.recv(65535)
                except TimeoutError:
                    pass
            udp.sendto(wire, (CA_ADDRESS, 53))
            return udp.recv(65535)
    with socket.create_connection((CA_ADDRESS, 53), timeout=20) as stream:
        stream.sendall(struct.pack("!H", len(wire)) + wire)
        reader = stream.makefile("rb")
        return reader.read(struct.unpack("!H", reader.read(2))[0])


def header_rcode(wire):
    return wire[3] & 0xF


def tsig_of(wire):
    """(key name, TSIG error, octets of other data) of an answer's last record; None without one."""
    parser = dns.wire.Parser(wire)
    _, _, questions, answers, authorities, additionals = parser.get_struct("!HHHHHH")
    for _ in range(questions):
        parser.get_name()
        parser.get_struct("!HH")
    found = None
    for _ in range(answers + authorities + additionals):
        owner = parser.get_name()
        kind, _, _, length = parser.get_struct("!HHIH")
        end = parser.current + length
        if kind == 250:
            parser.get_name()
            parser.get_bytes(8)
            (mac_length,) = parser.get_struct("!H")
            parser.get_bytes(mac_length)
            _, error, other_length = parser.get_struct("!HHH")
            found = (owner.to_text().rstrip("."), error, other_length)
        parser.seek(end)
    return found


def challenge(name):
    return f"_acme-challenge.{name}"


def addresses(name, kind="A"):
    return sorted(rdata.address for rrset in ask(name, kind).answer for rdata in rrset if rrset.rdtype == dns.rdatatype.from_text(kind))


def credentials(tmp_path, **more):
    path = tmp_path / "rfc2136.ini"
    lines = {"server": CA_ADDRESS, "name": "lego", "secret": SECRET, **more}
    path.write_text("".join(f"dns_rfc2136_{key} = {value}\n" for key, value in lines.items()), encoding="ascii")
    path.chmod(0o600)
    return path


def certbot(app, tmp_path, names, **more):
    places = [part for what in ("config", "work", "logs") for part in (f"--{what}-dir", tmp_path / what)]
    env = client_environment(app, REQUESTS_CA_BUNDLE=app.root_pem)
    return run("certbot", "certonly", "--non-interactive", "--agree-tos", "--email", "admin@svc.test", "--server", app.directory_url, *places,
               "--dns-rfc2136", "--dns-rfc2136-credentials", credentials(tmp_path, **more), "--dns-rfc2136-propagation-seconds", "0",
               *(part for name in names for part in ("--domain", name)), env=env)
