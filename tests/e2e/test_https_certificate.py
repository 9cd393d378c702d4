"""The daemon's own HTTPS certificate: names, renewal and replacement without a restart, the administrator's own files."""
import datetime
import pathlib
import signal
import socket
import ssl
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from namespace import CA_ADDRESS

SWAP_DEADLINE_S = 20


def served(app, host="127.0.0.1", name="localhost"):
    """Verify against our root, for `name`, and return the leaf that the listener shows."""
    context = ssl.create_default_context(cafile=app.root_pem)
    with socket.create_connection((host, 443), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))


def served_after_hup(app, before, verify=served):
    app.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + SWAP_DEADLINE_S
    while True:
        now = verify(app)
        if now.serial_number != before.serial_number:
            return now
        assert time.monotonic() < deadline, "the certificate was not swapped:\n" + app.log()[-2000:]
        time.sleep(0.05)


def make_pair(names, days, issuer=None, issuer_key=None):
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=80)).not_valid_after(now + datetime.timedelta(days=days))
                   .add_extension(x509.SubjectAlternativeName(names), critical=False).sign(issuer_key or key, hashes.SHA256()))
    return (certificate, certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def test_every_way_to_reach_us_is_in_the_certificate(make_appliance):
    app = make_appliance().start()
    for host, name in (("127.0.0.1", "localhost"), ("127.0.0.1", "ca.svc.test"), ("127.0.0.1", "127.0.0.1"), (CA_ADDRESS, CA_ADDRESS)):
        leaf = served(app, host, name)
    assert not list(leaf.subject)
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_it_is_kept_over_a_restart(make_appliance):
    app = make_appliance().start()
    before = served(app)
    app.restart()
    assert served(app).serial_number == before.serial_number


def test_a_certificate_near_its_end_is_renewed_and_swapped_without_a_restart(make_appliance):
    app = make_appliance().start()
    keys = app.state / "keys"
    first = served(app)
    issuer_pem = (keys / "intermediate.pem").read_bytes()
    issuer = x509.load_pem_x509_certificate(issuer_pem)
    issuer_key = serialization.load_pem_private_key((keys / "intermediate.key").read_bytes(), None)
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    old, certificate, key = make_pair(list(names), 10, issuer, issuer_key)
    (keys / "https.pem").write_bytes(certificate + issuer_pem)
    (keys / "https.key").write_bytes(key)
    renewed = served_after_hup(app, first)
    assert renewed.serial_number not in (first.serial_number, old.serial_number)
    assert renewed.not_valid_after > datetime.datetime.utcnow() + datetime.timedelta(days=80)
    assert (keys / "https.key").stat().st_mode & 0o777 == 0o600


def test_names_of_the_configuration_move_into_the_certificate(make_appliance):
    app = make_appliance().start()
    before = served(app)
    app.stop()
    app.config["hostname"] = "pki.svc.test"
    app.config["public_url"] = app.url = "https://pki.svc.test"
    app.start()
    assert served(app, name="pki.svc.test").serial_number != before.serial_number


def test_the_administrators_files_are_used_and_read_again(make_appliance, tmp_path):
    cert_path, key_path = tmp_path / "tls.pem", tmp_path / "tls.key"
    names = [x509.DNSName("ca.svc.test")]

    def verify(_):
        context = ssl.create_default_context(cadata=cert_path.read_text(encoding="ascii"))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", 443), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="ca.svc.test") as tls:
                return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))

    def write(days):
        made, certificate, key = make_pair(names, days)
        cert_path.write_bytes(certificate)
        key_path.write_bytes(key)
        return made

    first = write(20)
    app = make_appliance(tls={"cert": str(cert_path), "key": str(key_path)}).start()
    assert verify(app).serial_number == first.serial_number
    second = write(30)
    assert served_after_hup(app, first, verify).serial_number == second.serial_number
    pathlib.Path(key_path).write_text("not a key", encoding="ascii")
    cert_path.write_bytes(make_pair(names, 40)[1])
    app.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + SWAP_DEADLINE_S
    while "ev=https.certificate.failed" not in app.log():
        assert time.monotonic() < deadline, "the broken pair was not reported:\n" + app.log()[-2000:]
        time.sleep(0.05)
    assert verify(app).serial_number == second.serial_number
