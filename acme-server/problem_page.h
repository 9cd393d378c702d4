/* The memory behind "instance" URLs. Thread: any; leaf lock. */
#ifndef ACME_SERVER_PROBLEM_PAGE_H
#define ACME_SERVER_PROBLEM_PAGE_H

#include "acme-server/problem.h"
#include "core/util/err.h"

struct instances;
MUST_USE struct err instances_new(struct instances **out);
void instances_free(struct instances *x); /* NULL is fine */
/* The id at the end of prob->instance, "" when it has none. */
const char *acme_instance_id(const struct problem *prob);

#endif
