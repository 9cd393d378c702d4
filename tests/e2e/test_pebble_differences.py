"""x"""
import pytest
from clients_differences import CASES, EAB_CASES, Bench, Responder, words
from clients_topology import server, WITH_EAB

@pytest.fixture(scope="module")
def bench(server):
    with Responder() as responder:
        yield Bench(server, responder)
class EabBench(Bench):
    def __init__(self, server):
        self.server=server
def test_all(bench):
    for name, f in CASES.items():
        try: w = words(f(bench))
        except BaseException as e: w = "EXC %r" % e; 
        print("CASE", bench.server.kind, name, "|", w[:200])
    assert 0
@WITH_EAB
def test_eab(server):
    for name, f in EAB_CASES.items():
        try: w = words(f(EabBench(server)))
        except BaseException as e: w = "EXC %r" % e; 
        print("CASE", server.kind, name, "|", w[:200])
    assert 0
