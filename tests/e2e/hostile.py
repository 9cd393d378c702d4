"""Scripted servers inside the scenario's namespace: DNS, HTTP and TLS that answer as told, wrongly or not at all.

Each is a context manager with threads of its own; a script is a function that gets what was asked and does what it likes.
"""
import concurrent.futures
import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import subprocess
import tempfile
import threading

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jws_client import ERROR, Acme, assert_sentence, general_name
from namespace import CA_ADDRESS

ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
RESOLVER = "10.66.0.2"  # where a scenario's scripted resolver stands
PATIENCE_S = 60
PARALLEL = 24
# The appliance at one address, so that other addresses' ports 80 and 443 are other machines'; corp.test is answered by the resolver.
LISTEN = {"https": [f"{CA_ADDRESS}:443"], "http": [f"{CA_ADDRESS}:80", "127.0.0.1:80"], "dns": ["127.0.0.1:53"]}
ZONES = [{"name": "svc.test"}, {"name": "corp.test", "serve": False}]
SETTINGS = {"listen": LISTEN, "zones": ZONES, "resolvers": [f"{RESOLVER}:53"]}


def many_addresses(*six):
    """In this scenario's namespace: 10.66.0.0/16 is this machine, as are the addresses `six`; nobody is at 10.67.0.0/16, and nothing
    that is sent to it or to fd00:67::/64 comes back."""
    for command in ("route add local 10.66.0.0/16 dev lo", "link add nobody arp off type veth peer name nowhere",
                    "address add 10.67.255.254/16 dev nobody", "address add fd00:67::ffff/64 dev nobody nodad", "link set nowhere up",
                    "link set nobody arp off up"):
        subprocess.run(["ip", *command.split()], check=True)
    for address in six:
        subprocess.run(["ip", "address", "add", address, "dev", "lo", "nodad"], check=True)


class Tcp:
    """A TCP server at one address; `serve(connection)` runs in a thread per connection and may end as it likes."""

    def __init__(self, address, port, serve):
        self.serve = serve
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family, backlog=64)
        self.connections, self.threads = [], []
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        for thread in self.threads:
            thread.join()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            connection.settimeout(PATIENCE_S)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, connection):
        with connection, contextlib.suppress(OSError):
            self.serve(connection)


def wait_for_end(connection):
    """Read until the peer hangs up."""
    while connection.recv(65536):
        pass


# --- HTTP ------------------------------------------------------------------------------------------------------------------


def read_request(connection):
    """The request's target and its whole head."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(4096)
        if not part:
            raise ConnectionError("no whole request")
        head += part
    return head.split(b" ", 2)[1].decode(), head.decode("latin-1")


def http_reply(body=b"", status="200 OK", *headers, length=True):
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close"]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def answering(*arguments, **more):
    """A script that answers every request alike."""
    def serve(connection):
        read_request(connection)
        connection.sendall(http_reply(*arguments, **more))
    return serve


class Webroot:
    """An honest http-01 responder: token -> key authorization. `seen` are the targets and heads of the requests."""

    def __init__(self):
        self.files = {}
        self.seen = []

    def put(self, acme, challenge):
        self.files[f"/.well-known/acme-challenge/{challenge['token']}"] = acme.key_authorization(challenge).encode()

    def __call__(self, connection):
        target, head = read_request(connection)
        self.seen.append((target, head))
        body = self.files.get(target)
        connection.sendall(http_reply(body) if body is not None else http_reply(b"", "404 Not Found"))


# --- TLS -------------------------------------------------------------------------------------------------------------------


def _der(tag, body):
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + body


class Certificate:
    """A self-signed certificate for tls-alpn-01 (RFC 8737 §3), with everything that can be wrong about one."""

    PLACEHOLDER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.99")  # as long as acmeIdentifier's; becomes a second one

    def __init__(self, names, digest=None, critical=True, value=None, second=None, signer=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([])
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=1)))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([general_name(one) for one in names]), critical=False)
        if digest is not None or value is not None:
            octets = value if value is not None else _der(4, digest)
            builder = builder.add_extension(x509.UnrecognizedExtension(ACME_IDENTIFIER, octets), critical=critical)
        if second is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(self.PLACEHOLDER, _der(4, second)), critical=critical)
        self.der = builder.sign(signer or self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        if second is not None:
            self._twice()

    def _twice(self):
        """The library builds no certificate with one extension twice: change the bytes and sign again."""
        certificate = x509.load_der_x509_certificate(self.der)
        body = certificate.tbs_certificate_bytes.replace(bytes.fromhex("2b06010505070163"), bytes.fromhex("2b0601050507011f"))
        algorithm = bytes.fromhex("300a06082a8648ce3d040302")
        self.der = _der(0x30, body + algorithm + _der(3, b"\0" + self.key.sign(body, ec.ECDSA(hashes.SHA256()))))

    def context(self, *protocols):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(ssl.DER_cert_to_PEM_cert(self.der).encode())
            pem.write(self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            pem.flush()
            context.load_cert_chain(pem.name)
        return context


def tls(serve_tls, choose):
    """A script: TLS with the context that choose() gives, then serve_tls(connection)."""
    def serve(connection):
        with choose().wrap_socket(connection, server_side=True) as secured:
            serve_tls(secured)
    return serve


# --- DNS -------------------------------------------------------------------------------------------------------------------


class Question:
    def __init__(self, message, is_tcp, count):
        self.message, self.is_tcp, self.count = message, is_tcp, count  # count: how often this was asked before
        self.name = message.question[0].name.to_text().rstrip(".").lower()
        self.kind = dns.rdatatype.to_text(message.question[0].rdtype)

    def reply(self, records=(), rcode=dns.rcode.NOERROR, name=None, kind=None):
        """An answer with these records (texts, or (owner, type, text)) at the name that was asked for."""
        answer = dns.message.make_response(self.message, recursion_available=True)
        answer.set_rcode(rcode)
        for record in records:
            owner, rdtype, text = record if isinstance(record, tuple) else (name or self.name, kind or self.kind, record)
            answer.answer.append(dns.rrset.from_text(owner + ".", 1, "IN", rdtype, text))
        return answer


class Dns:
    """A resolver with a table of records, and scripts for names that are special.

    records: {(name, type): [texts]}; a name without records is NXDOMAIN. scripts: {name: function(question) -> reply, bytes, a list of
    them, or None for silence}; a key (name, type) is for that type alone.
    """

    def __init__(self, address=RESOLVER):
        self.address = address
        self.records, self.scripts, self.asked = {}, {}, []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = Tcp(address, 53, self._serve_tcp)
        self.thread = threading.Thread(target=self._serve_udp, daemon=True)

    def __enter__(self):
        self.tcp.__enter__()
        self.thread.start()
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.udp.shutdown(socket.SHUT_RDWR)
        self.udp.close()
        self.tcp.__exit__()
        self.thread.join()

    def put(self, name, *addresses, **records):
        """A and AAAA records of a name; keywords are further types."""
        for address in addresses:
            self.records.setdefault((name, "AAAA" if ipaddress.ip_address(address).version == 6 else "A"), []).append(address)
        for kind, texts in records.items():
            self.records[(name, kind)] = list(texts)

    def times(self, name, kind):
        return self.asked.count((name, kind, False)) + self.asked.count((name, kind, True))

    def _answer(self, data, is_tcp):
        message = dns.message.from_wire(data)
        question = Question(message, is_tcp, 0)
        question.count = self.times(question.name, question.kind)
        self.asked.append((question.name, question.kind, is_tcp))
        script = self.scripts.get((question.name, question.kind)) or self.scripts.get(question.name)
        replies = script(question) if script else self.look(question)
        replies = replies if isinstance(replies, list) else [replies]
        return [one if isinstance(one, bytes) else one.to_wire(max_size=65535) for one in replies if one is not None]

    def look(self, question):
        found = self.records.get((question.name, question.kind))
        if found:
            return question.reply(found)
        alias = self.records.get((question.name, "CNAME"))
        if alias:
            return question.reply(alias, kind="CNAME")
        is_there = any(name == question.name or name.endswith("." + question.name) for name, _ in self.records)
        return question.reply(rcode=dns.rcode.NOERROR if is_there else dns.rcode.NXDOMAIN)

    def _serve_udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
                if not data:
                    return
                for reply in self._answer(data, False):
                    self.udp.sendto(reply, peer)
            except OSError:
                return

    def _serve_tcp(self, connection):
        size = connection.recv(2, socket.MSG_WAITALL)
        data = connection.recv(struct.unpack("!H", size)[0], socket.MSG_WAITALL)
        replies = self._answer(data, True)
        for reply in replies:
            connection.sendall(struct.pack("!H", len(reply)) + reply)
        if not replies:
            wait_for_end(connection)


def silent(_question):
    return None


def failing(question):
    return question.reply(rcode=dns.rcode.SERVFAIL)


def refusing(question):
    return question.reply(rcode=dns.rcode.REFUSED)


def truncating(question):
    """Cut over UDP, and cut over TCP again."""
    answer = question.reply()
    answer.flags |= dns.flags.TC
    return answer


# --- outcomes --------------------------------------------------------------------------------------------------------------


class Case:
    """What must come of one target: a problem type and words of its detail. `serve`, `at`: its script and its addresses."""

    def __init__(self, problem, *words, serve=None, at=None, **more):
        self.problem, self.words, self.serve, self.at, self.more = problem, words, serve, at, more


class Outcome:
    """One order for one name by an account of its own, asked for by one challenge until it is decided."""

    def __init__(self, app, name, kind, prepare):
        self.acme = Acme(app).register()
        self.kind = kind
        self.url, order = self.acme.order(name)
        self.authorization_url = order["authorizations"][0]
        authorization, challenge = self.acme.challenge_of(self.authorization_url, kind)
        prepare(self.acme, challenge, authorization)
        self.first = self.acme.post(challenge["url"], {})
        self.challenge = self.acme.wait(challenge["url"], ("valid", "invalid"), 60, every_s=0.5)
        self.authorization = self.acme.post(self.authorization_url).json()
        self.order = self.acme.post(self.url).json()

    def assert_valid(self):
        assert self.challenge["status"] == "valid", self.challenge
        assert self.order["status"] == "ready", self.order
        done = self.acme.finalize(self.order)
        assert done.status_code == 200 and done.json()["status"] == "valid", done.text

    def assert_invalid(self, case):
        """The right problem, in words; everything above it ended with it; the recorder knows what happened."""
        assert self.first.status_code == 200 and self.first.json()["status"] in ("processing", "invalid"), self.first.text
        error = self.challenge.get("error")
        assert (self.challenge["status"], error and error["type"]) == ("invalid", ERROR + case.problem), self.challenge
        assert_sentence(error["detail"])
        assert error["detail"].isascii()
        for word in case.words:
            assert word in error["detail"], error
        assert self.authorization["status"] == "invalid" and self.order["status"] == "invalid", self.order
        assert [one["type"] for one in self.authorization["challenges"]] == [self.kind]
        assert self.order["error"]["type"] == ERROR + case.problem
        page = self.acme.post(error["instance"])
        assert page.status_code == 200 and any(self.kind in row["text"] for row in page.json()["timeline"]), page.text


def all_at_once(attempts, meanwhile=None):
    """Run {name: function} side by side, `meanwhile` in this thread; {name: result}."""
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        futures = {name: pool.submit(attempt) for name, attempt in attempts.items()}
        if meanwhile:
            meanwhile()
        return {name: future.result() for name, future in futures.items()}


class Meanwhile:
    """Certificates by dns-01 while a target that never answers is waited for."""

    def __init__(self, app, name, kind):
        self.app = app
        self.slow = Acme(app).register()
        _, order = self.slow.order(name)
        _, self.challenge = self.slow.challenge_of(order["authorizations"][0], kind)
        self.issued = 0

    def __call__(self):
        self.slow.post(self.challenge["url"], {})
        honest = Acme(self.app).register()
        for number in range(1000):
            honest.issue(f"meanwhile{number}.svc.test", f"*.meanwhile{number}.svc.test")
            if self.slow.post(self.challenge["url"]).json()["status"] != "processing":
                return
            self.issued += 1
