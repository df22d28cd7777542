/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relay memory: the estimate of one, and the floors of the classes. */
#include "sched/admit.h"

#include <assert.h>

#include "s3/s3.h"

#define KIB ((uint64_t)1024)
#define MIB (KIB * 1024)

#define RING_MIN_BYTES (16 * KIB)        /* libcurl delivers up to this much at once */
#define LARGE_BODY_BYTES MIB             /* above: large libcurl buffers pay */
#define LARGE_BUFFERS_BYTES (1024 * KIB) /* 512 KiB to receive, 512 KiB to send */
#define SMALL_BUFFERS_BYTES (192 * KIB)
#define RELAYS_WANTED 32 /* side by side before rings may be large: the slots of medium and low */

void admit_init(struct admit *a, uint64_t share_bytes)
{
	static const size_t rings[] = {S3_RING_BYTES, S3_RING_BYTES / 2, S3_RING_BYTES / 4};
	size_t i = 0;

	*a = (struct admit){.share_bytes = share_bytes};
	while (i + 1 < sizeof(rings) / sizeof(rings[0]) &&
	       RELAYS_WANTED * (rings[i] + LARGE_BUFFERS_BYTES) > share_bytes)
		i++;
	a->ring_max_bytes = rings[i];
	a->floor_bytes[SCHED_HIGH] = share_bytes / 4;
	a->floor_bytes[SCHED_MEDIUM] = share_bytes / 8;
	a->floor_bytes[SCHED_LOW] = share_bytes / 8;
	assert(a->floor_bytes[SCHED_LOW] >= a->ring_max_bytes + LARGE_BUFFERS_BYTES);
}

struct admit_cost admit_estimate(const struct admit *a, uint64_t relay_bytes, uint64_t body_bytes)
{
	uint64_t ring = relay_bytes < RING_MIN_BYTES ? RING_MIN_BYTES : relay_bytes;

	if (relay_bytes == 0)
		return (struct admit_cost){0};
	if (ring > a->ring_max_bytes)
		ring = a->ring_max_bytes;
	return (struct admit_cost){
		.ring_bytes = (size_t)ring,
		.bytes = ring + (body_bytes > LARGE_BODY_BYTES ? LARGE_BUFFERS_BYTES : SMALL_BUFFERS_BYTES),
	};
}

bool admit_allowed(const struct admit *a, enum sched_class class, uint64_t bytes)
{
	uint64_t sum = a->used_bytes[class] + bytes;
	unsigned c;

	for (c = 0; c < SCHED_CLASS__COUNT; c++) {
		if (c == (unsigned)class)
			continue;
		sum += a->used_bytes[c] > a->floor_bytes[c] ? a->used_bytes[c] : a->floor_bytes[c];
	}
	return sum <= a->share_bytes;
}

void admit_take(struct admit *a, enum sched_class class, uint64_t bytes)
{
	a->used_bytes[class] += bytes;
}

void admit_give(struct admit *a, enum sched_class class, uint64_t bytes)
{
	assert(a->used_bytes[class] >= bytes);
	a->used_bytes[class] -= bytes;
}
