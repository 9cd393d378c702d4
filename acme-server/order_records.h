/* What our own DNS publishes because of an order: its names in zones that are transferred, and for
 * preauthorized names the dns-persist-01 and dns-account-01 records of the account, so that anybody
 * who looks (this validator, another CA, an administrator) sees in DNS that the account may.
 *
 * In the transaction that makes the authorization. A name that is not served here, or that is full,
 * is left out. */
#ifndef ACME_SERVER_ORDER_RECORDS_H
#define ACME_SERVER_ORDER_RECORDS_H

#include "acme-server/acme_store.h"
#include "acme-server/request.h"

/* The account's records are made for preauthorized names. Names that share a base get one dns-persist-01 record,
 * with policy=wildcard when one of them is a wildcard. */
MUST_USE struct err order_records_publish(struct db *db, const struct acme_req *r,
                                          const struct order_new_name *names, size_t n);

#endif
