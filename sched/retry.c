/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Retry policy: which errors, how often, how long to wait. */
#include "sched/retry.h"

#include <assert.h>

void retry_policy_init(struct retry_policy *p, unsigned retry_max, int64_t base_ms, int64_t cap_ms)
{
	p->retry_max = retry_max ? retry_max : RETRY_MAX_DEFAULT;
	p->base_ms = base_ms > 0 ? base_ms : RETRY_BASE_MS_DEFAULT;
	p->cap_ms = cap_ms > 0 ? cap_ms : RETRY_CAP_MS_DEFAULT;
	if (p->cap_ms < p->base_ms)
		p->cap_ms = p->base_ms;
}

/* 409 on these means that another operation on the key has just not ended yet (OperationAborted,
 * ConditionalRequestConflict): S3 asks for another try. */
static bool conflict_passes(enum s3_op op)
{
	switch (op) {
	case S3_OP_PUT:
	case S3_OP_COPY:
	case S3_OP_DELETE:
	case S3_OP_UPLOAD_CREATE:
	case S3_OP_UPLOAD_PART:
	case S3_OP_UPLOAD_PART_COPY:
	case S3_OP_UPLOAD_COMPLETE:
	case S3_OP_UPLOAD_ABORT:
		return true;
	default:
		return false;
	}
}

bool retry_allowed(const struct retry_policy *p, enum s3_op op, enum s3_error e, unsigned attempts)
{
	if (attempts > p->retry_max)
		return false;
	if (e == S3_ERR_CONFLICT)
		return conflict_passes(op);
	return s3_error_is_retryable(e);
}

int64_t retry_delay_ms(const struct retry_policy *p, unsigned attempts, int64_t retry_after_ms, uint64_t random)
{
	int64_t bound_ms = p->base_ms, delay_ms;
	unsigned i;

	assert(attempts >= 1);
	for (i = 1; i < attempts && bound_ms < p->cap_ms; i++)
		bound_ms *= 2;
	if (bound_ms > p->cap_ms)
		bound_ms = p->cap_ms;
	delay_ms = (int64_t)(random % ((uint64_t)bound_ms + 1));
	if (retry_after_ms > RETRY_AFTER_MAX_MS)
		retry_after_ms = RETRY_AFTER_MAX_MS;
	/* Jitter on top, or everybody who was told the same would come back at the same moment. */
	return retry_after_ms > 0 ? retry_after_ms + delay_ms : delay_ms;
}

uint64_t retry_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}
