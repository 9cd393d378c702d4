"""Debian's lacme against ours and against Pebble: four processes, privileges dropped, its own web server and its own verification."""
import pytest

from appliance import environment
from clients_topology import check_chain, machine, open_directory, server, trusting_machine  # noqa: F401 # pylint: disable=unused-import
from tools import run


class Lacme:
    def __init__(self, machine, server, directory):  # noqa: F811 # pylint: disable=redefined-outer-name
        self.machine, self.server, self.directory = machine, server, directory
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", directory / "account.key")
        (directory / "accountd.conf").write_text(f"privkey = file:{directory}/account.key\n", encoding="ascii")
        (directory / "lacme.conf").write_text(
            f"config-certs = {directory}/certs.conf\n[client]\nserver = {server.directory_url}\n"
            f"[webserver]\nlisten = 0.0.0.0:80\n[accountd]\nconfig = {directory}/accountd.conf\n", encoding="ascii")

    def run(self, *command, expect=0):
        return self.machine.run("lacme", "--config", self.directory / "lacme.conf", *command, env=environment(), expect=expect)

    def want(self, name, *more):
        """A section of its certificate configuration, with a key made as its manual says."""
        key = self.directory / f"{name}.key"
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve",
            "-out", key)
        with open(self.directory / "certs.conf", "a", encoding="ascii") as out:
            out.write(f"[{name}]\ncertificate-key = {key}\ncertificate = {self.directory}/{name}.crt\n"
                      f"certificate-chain = {self.directory}/{name}.chain.crt\nsubject = /CN={name}\n"
                      f"subjectAltName = {','.join(f'DNS:{one}' for one in (name, *more))}\nCAfile = {self.server.root_pem}\n")

    def leaf(self, *names):
        return check_chain(self.server, self.directory / f"{names[0]}.chain.crt", *names)


@pytest.fixture
def lacme(trusting_machine, server, open_directory):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Lacme(trusting_machine, server, open_directory)  # its processes run as _lacme-client and _lacme-www


def test_account_order_renewal_and_revocation(lacme, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ("lacme.svc.test", "www.lacme.svc.test")
    lacme.want(*names)
    lacme.run("account", "--register", "--tos-agreed", "mailto:admin@svc.test")
    lacme.run("newOrder")
    first = lacme.leaf(*names)
    lacme.run("newOrder")
    assert lacme.leaf(*names).serial_number == first.serial_number
    lacme.run("newOrder", "--force")
    second = lacme.leaf(*names)
    assert second.serial_number != first.serial_number
    lacme.run("account", "mailto:other@svc.test")
    lacme.run("revokeCert", lacme.directory / f"{names[0]}.crt")
    assert server.is_revoked(second) == 0
