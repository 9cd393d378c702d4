"""Fixtures. Every test file is one scenario with namespaces of its own; see namespace.py and appliance.py."""
import os
import pathlib

import pytest

import appliance as appliance_module
from appliance import Appliance
from namespace import own_namespace

CLIENTS = pathlib.Path(os.environ.get("BW_CLIENTS", appliance_module.ROOT / "build" / "clients"))


def pytest_sessionstart(session):
    if session.config.option.collectonly:
        return
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests make network and mount namespaces: run them as root", returncode=2)
    if not os.access(appliance_module.BINARY, os.X_OK):
        pytest.exit(f"{appliance_module.BINARY} is not there: build it first (tests/run.sh does) or set BW_BINARY", returncode=2)


@pytest.fixture(scope="module", autouse=True)
def resolv_conf(tmp_path_factory):
    """The scenario's namespaces; the value is the path of its /etc/resolv.conf."""
    with own_namespace(str(tmp_path_factory.mktemp("namespace"))) as path:
        yield path


def _guard(one):
    """Stop and judge; whatever the verdict, nothing stays behind."""
    try:
        one.stop()
    finally:
        one.discard()


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    """One appliance for the whole file, with the usual configuration."""
    one = Appliance(tmp_path_factory.mktemp("appliance"))
    try:
        yield one.start()
    finally:
        _guard(one)


@pytest.fixture
def make_appliance(resolv_conf, tmp_path):
    """Makes appliances (not started) that end with the test; keywords replace top-level configuration keys."""
    made = []

    def make(**changes):
        one = Appliance(tmp_path / f"appliance{len(made)}", **changes)
        made.append(one)
        return one

    try:
        yield make
    finally:
        try:
            for one in reversed(made):
                _guard(one)
        finally:
            for one in made:
                one.discard()


@pytest.fixture(scope="session")
def clients_dir():
    """Where tests/run.sh --clients installs; a missing client is a failure, never a skip."""
    assert CLIENTS.is_dir(), f"{CLIENTS} is not there: run `sh tests/run.sh --clients`"
    return CLIENTS


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows the end of its appliance's log."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for value in item.funcargs.values():
            if isinstance(value, Appliance):
                lines = value.log().splitlines()
                loud = [line for line in lines[-400:] if "level=info" not in line and "level=debug" not in line]
                report.sections.append(("bailiwick.log: the last lines, then the last loud ones", "\n".join([line[:400] for line in lines[-6:] + ["..."] + loud[-6:]])))
