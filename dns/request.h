/* A request that is not answered on the spot by the thread that read it: it was copied, and somebody
 * (a work thread, the forwarder) answers it later. A reference is held until dns_request_end().
 *
 * UDP: one message, sent from the address that was asked. TCP: any number of messages on its
 * connection, in order; a connection that closed meanwhile swallows them. Thread: any. */
#ifndef DNS_REQUEST_H
#define DNS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/name.h"

struct dns_request;

/* The bytes as they came; they may be changed in place (tsig_check()). *len: in the same struct. */
uint8_t *dns_request_bytes(struct dns_request *request, size_t **len);
/* Where it came from: transport and address. */
bool dns_request_is_tcp(const struct dns_request *request);
struct ip_addr dns_request_peer(const struct dns_request *request);
/* The longest answer that may be sent: 65535 by TCP; by UDP 512, or what EDNS offered up to
 * DNS_UDP_EDNS_MAX. Asserted when sending. */
size_t dns_request_limit(const struct dns_request *request);
/* Answer octets that stand already (forwarding behind a CNAME of ours): header, question and answer
 * records; len 0: none. */
const uint8_t *dns_request_begun(const struct dns_request *request, size_t *len);
/* COOKIE_LEN octets for the COOKIE option of the answer; NULL: none was asked for. */
const uint8_t *dns_request_cookie(const struct dns_request *request);
/* Send one message; copies. TCP: less than 16 KiB goes out with dns_request_wait() or _end(), so that
 * one answer costs one wake-up. ERR_LIMIT: longer than dns_request_limit() (nothing is sent).
 * ERR_NOT_FOUND: the TCP connection is gone, or closed now because 1 MiB waits for a peer that does not
 * read: stop. */
MUST_USE struct err dns_request_send(struct dns_request *request, const uint8_t *message,
                                     size_t len);
/* TCP: how many octets still wait for the peer; a sender of many messages waits until they are few
 * (dns_request_wait() blocks until at most `octets` wait, or the connection is gone: false). */
bool dns_request_wait(struct dns_request *request, size_t octets);
/* No more answers. TCP connections stay open. */
void dns_request_end(struct dns_request *request);

#endif
