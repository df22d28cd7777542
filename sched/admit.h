/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much memory a relay takes, and which class may start one. Pure.
 *
 * Every class owns a floor of the relay share; what is left over is for whoever comes first. A relay of a class starts
 * when that leaves the floors of the others whole. So each class can always run something (nothing deadlocks), small
 * objects never wait for large ones, and the sum never passes the share. */
#ifndef S3B_ADMIT_H
#define S3B_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/sched.h"

struct admit {
	uint64_t share_bytes;
	bool is_fixed;
	size_t ring_max_bytes; /* smaller when the share is small, so that enough run side by side */
	uint64_t floor_bytes[SCHED_CLASS__COUNT];
	uint64_t used_bytes[SCHED_CLASS__COUNT];
};

struct admit_cost {
	size_t ring_bytes;
	uint64_t bytes; /* all of it */
};

#define ADMIT_FIXED_BYTES ((uint64_t)2 << 20)

/* IS_FIXED: every relay counts as ADMIT_FIXED_BYTES. Without HAS_CLASSES there are no floors. */
void admit_init(struct admit *a, uint64_t share_bytes, bool is_fixed, bool has_classes);
/* Of a request whose body of BODY_BYTES holds RELAY_BYTES that pass through a ring. RELAY_BYTES 0: nothing. It gets a
 * ring with which it keeps to EXPECTED_BYTES, where that is useful at all, and never more than it could fill. */
struct admit_cost admit_estimate(const struct admit *a, uint64_t relay_bytes, uint64_t body_bytes, uint64_t expected_bytes);
bool admit_allowed(const struct admit *a, enum sched_class class, uint64_t bytes);
void admit_take(struct admit *a, enum sched_class class, uint64_t bytes);
void admit_give(struct admit *a, enum sched_class class, uint64_t bytes);

#endif
