"""Debian's Apache with mod_md against ours and against Pebble: http-01, tls-alpn-01, external account; profile and ARI with ours.

It activates what it got at the next graceful restart.
"""
import shutil
import signal
import time

import pytest
from cryptography.hazmat.primitives import serialization

from appliance import environment
from clients_bench import revoke
from clients_topology import OURS, WITH_EAB, check_chain, machine, open_directory, server  # noqa: F401 # pylint: disable=unused-import
from jws_client import Acme, Key

MODULES = ("mpm_event", "authz_core", "ssl", "md", "socache_shmcb")
CONFIGURATION = """
{modules}
ServerRoot {base}
DefaultRuntimeDir {base}/run
PidFile {base}/apache.pid
ServerName host.svc.test
ErrorLog /dev/stderr
LogLevel info md:debug
Listen 80
Listen 443
User www-data
Group www-data
DocumentRoot {base}/www
<Directory {base}/www>
    Require all granted
</Directory>

MDStoreDir {base}/md
MDCertificateAuthority {directory}
MDCACertificateFile {root}
MDCertificateAgreement accepted
MDContactEmail admin@svc.test
MDCAChallenges {challenge}
{more}
MDomain {names}

<VirtualHost *:80>
    ServerName {name}
    ServerAlias {aliases}
</VirtualHost>
<VirtualHost *:443>
    ServerName {name}
    ServerAlias {aliases}
    Protocols {protocols}
    SSLEngine on
</VirtualHost>
"""
STAGED_DEADLINE_S = 90


class Apache:
    """One server with a configuration and a store of its own; nothing of /etc/apache2 is used."""

    def __init__(self, machine, server, base, names, challenge, more=""):  # noqa: F811 # pylint: disable=redefined-outer-name
        self.machine, self.server, self.base, self.names = machine, server, base, names
        for name in ("run", "www", "md"):
            (base / name).mkdir(parents=True)
        shutil.copy(server.root_pem, base / "root.pem")  # read as www-data
        modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in MODULES)
        self.file = base / "apache2.conf"
        self.file.write_text(CONFIGURATION.format(
            modules=modules, base=base, directory=server.directory_url, root=base / "root.pem", challenge=challenge, more=more,
            names=" ".join(names), name=names[0], aliases=" ".join(names[1:]) or names[0],
            protocols="http/1.1 acme-tls/1" if challenge == "tls-alpn-01" else "http/1.1"), encoding="ascii")

    def running(self):
        return self.machine.spawn("apache2", "-f", self.file, "-DFOREGROUND", port=443, env=environment())

    @property
    def chain(self):
        return self.base / "md" / "domains" / self.names[0] / "pubcert.pem"

    def wait_staged(self, log):
        """Wait until mod_md has its certificate: it lies in the staging area until the next restart."""
        staged = self.base / "md" / "staging" / self.names[0] / "pubcert.pem"
        deadline = time.monotonic() + STAGED_DEADLINE_S
        while not staged.exists():
            text = log.read_text(encoding="utf-8", errors="replace")
            assert "encountered error" not in text, text[-6000:]  # it would try again, but the first time must do
            assert time.monotonic() < deadline, f"nothing was staged within {STAGED_DEADLINE_S} s:\n{text[-6000:]}"
            time.sleep(0.1)
        check_chain(self.server, staged, *self.names)

    def activate(self, process, log, **more):
        """Wait for a staged certificate, restart gracefully, wait until it is served."""
        self.wait_staged(log)
        process.send_signal(signal.SIGUSR1)  # apachectl graceful
        leaf = self.machine.wait_for_tls(self.names[0], self.server, log_path=log, **more)
        assert check_chain(self.server, self.chain, *self.names).serial_number == leaf.serial_number
        return leaf

    def obtain_and_serve(self):
        with self.running() as (process, log):
            return self.activate(process, log)


@pytest.fixture
def base(open_directory):  # noqa: F811 # pylint: disable=redefined-outer-name
    return open_directory / "apache"  # its workers run as www-data


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_first_start_from_empty(machine, server, base, challenge):  # noqa: F811 # pylint: disable=redefined-outer-name
    apache = Apache(machine, server, base, (f"{challenge}.svc.test", f"www.{challenge}.svc.test"), challenge)
    leaf = apache.obtain_and_serve()
    with apache.running() as (_, log):
        assert machine.wait_for_tls(apache.names[0], server, log_path=log).serial_number == leaf.serial_number


@OURS
def test_a_profile_and_a_renewal_that_the_server_asks_for(machine, server, base):  # noqa: F811 # pylint: disable=redefined-outer-name
    apache = Apache(machine, server, base, ("asked.svc.test",), "http-01",
                    "MDProfile short\nMDProfileMandatory on\nMDRenewViaARI on\nMDCheckInterval 1s")
    with apache.running() as (process, log):
        first = apache.activate(process, log)
        assert (first.not_valid_after - first.not_valid_before).days < 7
        key = Key("RS256")
        key.private = serialization.load_pem_private_key((apache.chain.parent / "privkey.pem").read_bytes(), None)
        assert revoke(Acme(server, key=key), first).status_code == 200  # which moves the window of its renewal into the past
        apache.activate(process, log, differs_from=first)


@WITH_EAB
def test_external_account(machine, server, base):  # noqa: F811 # pylint: disable=redefined-outer-name
    kid, key = server.eab
    Apache(machine, server, base, ("eab.svc.test",), "http-01", f"MDExternalAccountBinding {kid} {key}").obtain_and_serve()
