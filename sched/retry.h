/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When to try again. Pure: the random number is passed in.
 *
 * Full jitter (a random wait below a bound that doubles) because it empties a server's queue of returning clients
 * soonest: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
#ifndef S3B_RETRY_H
#define S3B_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "s3/s3.h"

struct retry_policy {
	unsigned retry_max;      /* attempts after the first */
	int64_t base_ms, cap_ms; /* the bound of the first wait, and of every wait */
};

#define RETRY_MAX_DEFAULT 8
#define RETRY_BASE_MS_DEFAULT 100
#define RETRY_CAP_MS_DEFAULT 20000
#define RETRY_AFTER_MAX_MS 120000 /* a server that asks for more is taken at this much */

/* Fields that are 0 (or negative) become their defaults. */
void retry_policy_init(struct retry_policy *p, unsigned retry_max, int64_t base_ms, int64_t cap_ms);

/* May OP, which has been sent ATTEMPTS times and ended with E, be sent again? */
bool retry_allowed(const struct retry_policy *p, enum s3_op op, enum s3_error e, unsigned attempts);

/* How long to wait before the next attempt. RETRY_AFTER_MS: what the server asked for, or -1. */
int64_t retry_delay_ms(const struct retry_policy *p, unsigned attempts, int64_t retry_after_ms, uint64_t random);

/* The next number of a sequence of random ones (splitmix64). */
uint64_t retry_random(uint64_t *state);

#endif
