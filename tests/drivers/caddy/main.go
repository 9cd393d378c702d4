// Caddy with the modules it comes with (what "go install …/cmd/caddy" gives, at the version that go.mod pins) and two DNS providers.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "bailiwick.test/drivers/caddy/providers"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() {
	caddycmd.Main()
}
