module bailiwick.test/drivers/lego

go 1.26.0

require github.com/go-acme/lego/v4 v4.35.2 // indirect
