/* What a look means: CAA, the decision and storing it (validate_decide.c), and CAA for finalize
 * (caa_wait.c). */
#ifndef ACME_SERVER_VALIDATE_JOB_H
#define ACME_SERVER_VALIDATE_JOB_H

#include "acme-server/validate.h"
#include "acme-server/validate_net.h"

/* Store the decision, with what was seen. ERR_BAD_STATE: decided or ended already; ERR_BUSY: the
 * publisher was removed meanwhile, look again. Any thread but the store's writer. */
MUST_USE struct err validate_decide(struct acme *acme, const struct val_target *target,
                                    const struct val_result *result, const char *trail);
/* For the limit of failed validations per account and name. */
void validate_count_failure(struct acme *acme, const struct val_target *target);

struct caa_question caa_question_of(const struct val_target *target);
/* CAA says no: under `enforce` the result becomes that, under `report` it is only told. */
void caa_forbids(struct acme *acme, const struct val_target *target, const char *detail,
                 struct val_result *result);
/* What is known of CAA without asking anybody: false when the network must be asked first. */
bool caa_look(struct acme *acme, const struct val_target *target, struct val_result *result);
/* CAA for finalize (caa_wait.c): ask the network for all of these at once and wait, up to
 * VALIDATE_CAA_MS. *forbidden: the first question that CAA says no to (detail: why), n when none is.
 * ERR_BUSY when CAA_WAITERS_MAX wait, or the loop does not get to it. An HTTP thread. */
#define CAA_WAITERS_MAX 8
MUST_USE struct err caa_wait(struct acme *acme, const struct caa_question *questions, size_t n,
                             size_t *forbidden, char detail[VALIDATE_DETAIL_MAX]);
/* Once the loop has stopped. */
void caa_reports_free(struct acme *acme);

#endif
