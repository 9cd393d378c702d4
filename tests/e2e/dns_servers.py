"""Other people's DNS servers beside the appliance: Knot, BIND, NSD, Unbound and dnsmasq, each on an address of its own, run in the
foreground by the scenario and ended by process id."""
import pathlib
import subprocess
import time

import dns.exception

from appliance import environment
from tools import ask, run

OTHER_DNS = "10.99.0.7"
START_DEADLINE_S = 30


class Server:
    """A program that answers DNS at `address` once it is up: `probe` is a (name, type) that it answers somehow."""

    def __init__(self, directory, address=OTHER_DNS):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.log_path = self.directory / "log"
        self.process = None

    def command(self):
        raise NotImplementedError

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def start(self, probe=("version.bind", "A")):
        with open(self.log_path, "ab") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen([str(part) for part in self.command()], env=environment(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.directory)
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            assert self.process.poll() is None, f"{self.command()[0]} ended:\n{self.log()[-3000:]}"
            try:
                ask(*probe, self.address, tcp=True)
                return self
            except (OSError, dns.exception.DNSException):
                assert time.monotonic() < deadline, f"{self.command()[0]} does not answer:\n{self.log()[-3000:]}"
                time.sleep(0.05)

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()


class Knot(Server):
    """Authoritative for zones: {name: path of a master file}."""

    def __init__(self, directory, zones, address=OTHER_DNS):
        super().__init__(directory, address)
        self.zones = zones

    def command(self):
        lines = ["server:", f"    rundir: {self.directory}", f"    listen: {self.address}@53", "database:", f"    storage: {self.directory}",
                 "log:", "  - target: stderr", "    any: warning", "zone:"]
        for name, path in self.zones.items():
            lines += [f"  - domain: {name}", f"    file: {path}", "    zonefile-sync: -1", "    journal-content: none"]
        config = self.directory / "knot.conf"
        config.write_text("\n".join(lines) + "\n", encoding="ascii")
        return ["knotd", "-c", config]


class Named(Server):
    """BIND with the configuration blocks given (zones, keys)."""

    def __init__(self, directory, *blocks, address=OTHER_DNS):
        super().__init__(directory, address)
        self.blocks = blocks

    def command(self):
        (self.directory / "named.conf").write_text(
            f'options {{ directory "{self.directory}"; listen-on {{ {self.address}; }}; listen-on-v6 {{ none; }}; recursion no;\n'
            f'  pid-file none; session-keyfile "{self.directory}/session.key"; dnssec-validation no; allow-query {{ any; }};\n'
            f'  managed-keys-directory "{self.directory}"; notify no; querylog no; }};\n'
            'controls { };\n' + "\n".join(self.blocks) + "\n", encoding="ascii")
        return ["named", "-g", "-c", self.directory / "named.conf"]


class Unbound(Server):
    """A validating resolver that asks `stub` servers about some zones."""

    def __init__(self, directory, *lines, address=OTHER_DNS):
        super().__init__(directory, address)
        self.lines = lines

    def command(self):
        config = self.directory / "unbound.conf"
        config.write_text("\n".join([
            "server:", f"  interface: {self.address}", "  do-daemonize: no", '  chroot: ""', '  username: ""', '  pidfile: ""',
            f'  directory: "{self.directory}"', "  use-syslog: no", "  access-control: 0.0.0.0/0 allow", "  do-not-query-localhost: no",
            *self.lines]) + "\n", encoding="ascii")
        run("unbound-checkconf", config)
        return ["unbound", "-d", "-c", config]


class Dnsmasq(Server):
    """A small network's resolver with a cache."""

    def __init__(self, directory, *lines, address=OTHER_DNS):
        super().__init__(directory, address)
        self.lines = lines

    def command(self):
        config = self.directory / "dnsmasq.conf"
        config.write_text("\n".join([f"listen-address={self.address}", "bind-interfaces", "no-resolv", "no-hosts", "no-daemon", "user=root",
                                     "pid-file", *self.lines]) + "\n", encoding="ascii")
        return ["dnsmasq", f"--conf-file={config}"]
