// Caddy with the modules it comes with (what "go install …/cmd/caddy" gives, at the version that go.mod pins) and the two DNS provider
// modules that speak what our server speaks.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddy-dns/acmedns"
	_ "github.com/caddy-dns/rfc2136"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() {
	caddycmd.Main()
}
