"""Debian's Pebble in strict mode, at the appliance's address and with the appliance's interface, so that a scenario can run against either.

Its resolver is pebble-challtestsrv, which answers every name with the client machine's address, or any server of ours.
"""
import datetime
import ipaddress
import json
import pathlib
import signal
import subprocess
import time

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance import SECRET, environment
from namespace import CA_ADDRESS, INGRESS

MANAGEMENT = "127.0.0.1:15000"
CHALLTESTSRV = "127.0.0.1:8055"
START_DEADLINE_S = 60
BAD_NONCE_PERCENT = 0  # its default, 5, would let chance decide: not every client tries again (dehydrated and acme-tiny do not)
EAB_CLIENTS = {"lego": SECRET, "dehydrated": "e2eSecretOfTheClientDehydrated0123456789abcdefghijklmnopqrstuvwx"}


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject, issuer, key, issuer_key, extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
               .not_valid_after(now + datetime.timedelta(days=30))
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write_https_certificate(directory):
    """A small CA of the test's own and a certificate for Pebble's HTTPS below it: root.pem, https.pem, https.key."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                           "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
    root = _certificate("Pebble's HTTPS", "Pebble's HTTPS", root_key, root_key, (
        (x509.BasicConstraints(ca=True, path_length=0), True), (x509.KeyUsage(**{**usage, "key_cert_sign": True}), True)))
    names = [x509.DNSName("ca.svc.test"), *(x509.IPAddress(ipaddress.ip_address(text)) for text in (CA_ADDRESS, "127.0.0.1"))]
    leaf = _certificate("ca.svc.test", "Pebble's HTTPS", key, root_key, (
        (x509.BasicConstraints(ca=False, path_length=None), True), (x509.SubjectAlternativeName(names), False),
        (x509.KeyUsage(**{**usage, "digital_signature": True}), True)))
    (directory / "https-root.pem").write_bytes(root)
    (directory / "https.pem").write_bytes(leaf)
    (directory / "https.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                            serialization.NoEncryption()))


def self_signed(name):
    """A certificate that no CA here issued."""
    key = ec.generate_private_key(ec.SECP256R1())
    return x509.load_pem_x509_certificate(_certificate(name, name, key, key, ((x509.SubjectAlternativeName([x509.DNSName(name)]), False),)))


class Pebble:
    """What a scenario knows of a server: kind, url, directory_url, root_pem, roots, is_revoked(), eab."""

    kind = "pebble"
    directory_path = "/dir"

    def __init__(self, directory, eab_required=False, bad_nonces=BAD_NONCE_PERCENT, resolver=None, host="ca.svc.test"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.eab_required, self.bad_nonces, self.resolver = eab_required, bad_nonces, resolver
        self.url = f"https://{host}"
        self.directory_url = self.url + self.directory_path
        self.root_pem = str(self.directory / "roots.pem")
        self.roots = ()
        self.eab = ("lego", SECRET)
        self.log_path = self.directory / "pebble.log"
        self.processes = []

    def _spawn(self, *command, env=None):
        with open(self.log_path, "ab") as log:
            # pylint: disable=consider-using-with
            self.processes.append(subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   env=env or environment()))

    def _wait(self, url, **more):
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            ended = [process.args[0] for process in self.processes if process.poll() is not None]
            assert not ended, f"{ended} ended:\n{self.log()[-4000:]}"
            try:
                return requests.request("GET", url, timeout=5, proxies={"http": None, "https": None}, **more)
            except requests.RequestException as error:
                assert time.monotonic() < deadline, f"{url} does not answer: {error}\n{self.log()[-4000:]}"
                time.sleep(0.05)

    def start(self):
        write_https_certificate(self.directory)
        (self.directory / "pebble.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"{CA_ADDRESS}:443", "managementListenAddress": MANAGEMENT,
            "certificate": str(self.directory / "https.pem"), "privateKey": str(self.directory / "https.key"),
            "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "",
            "externalAccountBindingRequired": self.eab_required, "externalAccountMACKeys": EAB_CLIENTS}}), encoding="utf-8")
        if not self.resolver:
            self._spawn("pebble-challtestsrv", "-dns01", f"{CA_ADDRESS}:53", "-http01", "", "-https01", "", "-tlsalpn01", "",
                        "-management", CHALLTESTSRV, "-defaultIPv4", INGRESS, "-defaultIPv6", "")
            self._wait(f"http://{CHALLTESTSRV}/")
            requests.post(f"http://{CHALLTESTSRV}/add-a", json={"host": "ca.svc.test.", "addresses": [CA_ADDRESS]}, timeout=5,
                          proxies={"http": None}).raise_for_status()
        self._spawn("pebble", "-config", self.directory / "pebble.json", "-strict", "-dnsserver", self.resolver or f"{CA_ADDRESS}:53",
                    env=environment(PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT=str(self.bad_nonces), PEBBLE_AUTHZREUSE="0"))
        issuer = self._wait(f"https://{MANAGEMENT}/roots/0", verify=str(self.directory / "https-root.pem")).text
        (self.directory / "issuer-root.pem").write_text(issuer, encoding="ascii")
        self.roots = (self.directory / "https-root.pem", self.directory / "issuer-root.pem")
        pathlib.Path(self.root_pem).write_text("".join(path.read_text(encoding="ascii") for path in self.roots), encoding="ascii")
        return self

    def is_revoked(self, certificate):
        """What the server itself says about a certificate: None when it is good, the reason code when it is revoked."""
        found = self._wait(f"https://{MANAGEMENT}/cert-status-by-serial/{certificate.serial_number:x}", verify=self.root_pem).json()
        return found.get("Reason", 0) if found["Status"] == "Revoked" else None

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def stop(self):
        processes, self.processes = self.processes, []
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    discard = stop
