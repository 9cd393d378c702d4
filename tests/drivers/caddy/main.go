// Caddy with exactly the modules it comes with: what "go install …/cmd/caddy" gives, at the version that go.mod pins.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() {
	caddycmd.Main()
}
