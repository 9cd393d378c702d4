"""The daemon under test: writes a configuration, starts `bailiwick serve`, waits until it answers, stops it and judges its log."""
import contextlib
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import time
import urllib.request

from namespace import CA_ADDRESS, INGRESS

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("BW_BINARY", str(ROOT / "build" / "asan" / "bailiwick"))
IS_TSAN = "tsan" in BINARY
SECRET = "e2eSecretOfTheClientLego0123456789abcdefghij"
OTHER_SECRET = "e2eSecretOfTheOtherClient0123456789abcdefghi"
START_DEADLINE_S = 60
STOP_DEADLINE_S = 60
SANITIZER_REPORT = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|LeakSanitizer: detected|: runtime error: ")


def environment(**more):
    """A small, known environment: nothing of the machine's own reaches the daemon or the clients."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    env.update(more)
    return env


def client(name, secret, *names, **more):
    return {"name": name, "secret": secret, "names": list(names), **more}


def configuration(state_dir, **changes):
    """The scenario's configuration: authorization reuse off, real ports, two clients; `changes` replaces top-level keys."""
    config = {
        "state_dir": str(state_dir),
        "hostname": "ca.svc.test",
        "addresses": [CA_ADDRESS],
        "public_url": "https://ca.svc.test",
        "listen": {"https": ["0.0.0.0:443", "[::]:443"], "http": ["0.0.0.0:80", "[::]:80"],
                   "dns": ["0.0.0.0:53", "[::]:53"]},
        "zones": [{"name": "svc.test", "ingress": [INGRESS]}],
        "clients": [client("lego", SECRET, "svc.test", "*.svc.test"),
                    client("other", OTHER_SECRET, "other.svc.test")],
        "acme": {"authorization_reuse": 0},
        "resolvers": ["127.0.0.1:53"],
    }
    config.update(changes)
    return {key: value for key, value in config.items() if value is not None}


class Appliance:
    def __init__(self, directory, config=None, **changes):
        self.directory = pathlib.Path(directory)
        self.state = self.directory / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.config = config if config is not None else configuration(self.state, **changes)
        self.config_path = self.directory / "bailiwick.yaml"
        self.log_path = self.directory / "bailiwick.log"
        self.root_pem = str(self.directory / "root.pem")
        self.url = self.config.get("public_url", "https://ca.svc.test")
        self.directory_url = self.url + "/acme/directory"
        self.process = None
        self.more_environment = {}

    def write_config(self):
        # JSON is YAML: the file has one reader for both.
        self.config_path.write_text(json.dumps(self.config, indent=1) + "\n", encoding="utf-8")

    def command(self, *arguments):
        prefix = ["setarch", platform.machine(), "-R"] if IS_TSAN else []
        return prefix + [BINARY, *arguments]

    def environment(self):
        # Scenarios share a daemon and an address: the limit on new accounts is for the tests that are about it.
        limits = {} if "rate_limits" in (self.config.get("acme") or {}) else {"BAILIWICK_ACME_RATE_LIMITS_NEW_ACCOUNTS": "0"}
        return environment(**limits, **self.more_environment, ASAN_OPTIONS="exitcode=99:detect_leaks=1:detect_stack_use_after_return=1",
                           UBSAN_OPTIONS="print_stacktrace=1",
                           TSAN_OPTIONS="exitcode=98:halt_on_error=0:second_deadlock_stack=1")

    def start(self, *flags):
        self.write_config()
        with open(self.log_path, "ab") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(self.command("serve", "--config", str(self.config_path), *flags), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=self.environment())
        self.wait_ready()
        return self

    def wait_ready(self):
        deadline = time.monotonic() + START_DEADLINE_S
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        port = self.config["listen"]["http"][0].rsplit(":", 1)[1]
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with {self.process.returncode} before it answered:\n{self.log()}")
            try:
                with opener.open(f"http://127.0.0.1:{port}/root.pem", timeout=5) as reply:
                    pathlib.Path(self.root_pem).write_bytes(reply.read())
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"serve did not answer /root.pem within {START_DEADLINE_S} s: {error}\n"
                                         f"{self.log()}") from error
                time.sleep(0.05)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def assert_clean_log(self):
        report = SANITIZER_REPORT.search(self.log())
        assert report is None, f"sanitizer report in the daemon's log:\n{self.log()[report.start():][:6000]}"
        for secret in (entry["secret"] for entry in self.config.get("clients", [])):
            assert secret not in self.log(), "a client's secret stands in the log"

    def stop(self):
        """Ask it to end, and expect a clean end: code 0 and no sanitizer report (LeakSanitizer reports at exit)."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"serve did not end within {STOP_DEADLINE_S} s of SIGTERM:\n{self.log()[-4000:]}") from None
        self.assert_clean_log()
        assert code == 0, f"serve ended with {code}:\n{self.log()[-4000:]}"

    def reload(self, wanted="ev=config.reloaded", bound_s=30):
        """SIGHUP with the configuration as it is now; waits for the log line and returns what was logged since."""
        self.write_config()
        before = len(self.log())
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + bound_s
        while wanted not in self.log()[before:]:
            assert time.monotonic() < deadline, f"no {wanted} in the log after SIGHUP:\n{self.log()[before:]}"
            time.sleep(0.02)
        return self.log()[before:]

    def kill9(self):
        process, self.process = self.process, None
        process.kill()
        process.wait()
        self.assert_clean_log()

    def restart(self):
        self.stop()
        return self.start()

    def discard(self):
        """For teardown after a failure: end it whatever its state."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def cli(self, *arguments, expect=0, text=None):
        """Run a subcommand with this configuration; returns the finished process."""
        done = subprocess.run(self.command(*arguments, "--config", str(self.config_path)), input=text, env=self.environment(),
                              capture_output=True, text=True, timeout=60, check=False)
        assert not SANITIZER_REPORT.search(done.stderr), done.stderr
        if expect is not None:
            assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@contextlib.contextmanager
def running(directory, *flags, **changes):
    """A started appliance that is stopped and judged at the end; whatever the verdict, nothing stays behind."""
    one = Appliance(directory, **changes)
    try:
        yield one.start(*flags)
        one.stop()
    finally:
        one.discard()
