from test_conformance_validation import *
def test_probe(account):
    for t in ["10.8.10.020", "10.8.10", "fd00:8:0::53", "FD00:8::53", "[fd00:8::53]", "fd00:8::0053", "::ffff:10.8.10.20"]:
        r = order_of(account, "ip", t); print(t, r.status_code, r.text[:140])
