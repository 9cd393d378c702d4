"""The real Traefik on a machine of its own, at the ingress address, with the configuration it is given under /etc/traefik."""
import pathlib
import socket
import ssl
import subprocess
import time

from cryptography import x509

from appliance import environment
from jws_client import names_of

ETC = pathlib.Path("/etc/traefik")
ROUTER = """
http:
  routers:
    site: {rule: "HostRegexp(`.+`)", entryPoints: [websecure], service: noop@internal}
"""
CERTIFICATE_DEADLINE_S = 90


class Traefik:
    def __init__(self, binary, host, app, static, env, directory):
        self.binary, self.host, self.app, self.static, self.env = binary, host, app, static, env
        self.log_path = pathlib.Path(directory) / "traefik.log"
        self.process = None

    def __enter__(self):
        (ETC / "dynamic").mkdir(parents=True, exist_ok=True)
        (ETC / "traefik.yml").write_text(self.static, encoding="utf-8")
        (ETC / "dynamic" / "site.yml").write_text(ROUTER, encoding="utf-8")
        (ETC / "root.pem").write_bytes(pathlib.Path(self.app.root_pem).read_bytes())
        with open(self.log_path, "wb") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(self.host.command(self.binary, "--configFile=/etc/traefik/traefik.yml"), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=environment(TRAEFIK_LOG_LEVEL="DEBUG", **self.env))
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def served(self, name):
        """The names of the certificate that 443 serves for `name`, the chain verified below our root; None until there is one."""
        context = ssl.create_default_context(cafile=self.app.root_pem)
        try:
            with socket.create_connection((self.host.address, 443), timeout=5) as plain:
                with context.wrap_socket(plain, server_hostname=name) as tls:
                    return names_of(x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)))
        except (OSError, ssl.SSLError):
            return None

    def wait_for(self, name):
        deadline = time.monotonic() + CERTIFICATE_DEADLINE_S
        while True:
            names = self.served(name)
            if names:
                return names
            assert self.process.poll() is None, f"traefik ended:\n{self.log()[-4000:]}"
            assert time.monotonic() < deadline, f"no certificate for {name} within {CERTIFICATE_DEADLINE_S} s:\n{self.log()[-6000:]}"
            time.sleep(0.25)
