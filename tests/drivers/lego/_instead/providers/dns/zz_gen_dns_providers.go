// Package dns is lego's table of DNS providers, cut to those that our server speaks: the whole of it brings every cloud's library.
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/providers/dns/acmedns"
	"github.com/go-acme/lego/v4/providers/dns/httpreq"
	"github.com/go-acme/lego/v4/providers/dns/rfc2136"
)

// NewDNSChallengeProviderByName is what lego's program asks.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	switch name {
	case "acme-dns":
		return acmedns.NewDNSProvider()
	case "httpreq":
		return httpreq.NewDNSProvider()
	case "rfc2136":
		return rfc2136.NewDNSProvider()
	}
	return nil, fmt.Errorf("this lego was built without the DNS provider %s", name)
}
