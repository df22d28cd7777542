/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relay memory: the estimate of one, and the floors of the classes. */
#include "sched/admit.h"

#include <assert.h>

#include "s3/s3.h"

#define KIB ((uint64_t)1024)
#define MIB (KIB * 1024)

#define RING_MIN_BYTES (16 * KIB)        /* libcurl delivers up to this much at once */
/* Smaller rings are drained by every callback, and large bodies then cost more processor time. */
#define RING_USEFUL_BYTES (64 * KIB)
#define RING_USEFUL_LARGE_BYTES (512 * KIB)
#define RELAYS_WANTED 32 /* side by side before rings may be large */

/* What libcurl's buffers of a relay take, to receive and to send: as s3/relay.c and s3/exchange.c choose them. */
static const struct {
	uint64_t below_bytes, buffers_bytes;
} buffers[] = {
	{256 * KIB, 80 * KIB},
	{MIB, 112 * KIB},
	{UINT64_MAX, 528 * KIB}, /* and what the source's answer is received into */
};
#define LARGE_RECEIVE_BYTES (512 * KIB)
#define RECEIVE_MIN_BYTES (16 * KIB)

static uint64_t buffers_of(uint64_t relay_bytes, uint64_t body_bytes, uint64_t ring_bytes)
{
	uint64_t receive = LARGE_RECEIVE_BYTES;
	size_t i = 0;

	while (i + 1 < sizeof(buffers) / sizeof(buffers[0]) && body_bytes >= buffers[i].below_bytes)
		i++;
	if (body_bytes < MIB)
		return buffers[i].buffers_bytes;
	/* While one half of the ring is sent the other is filled. */
	while ((relay_bytes < body_bytes || body_bytes > ring_bytes) && receive > ring_bytes / 2 && receive > RECEIVE_MIN_BYTES)
		receive /= 2;
	return buffers[i].buffers_bytes + receive;
}

void admit_init(struct admit *a, uint64_t share_bytes, bool is_fixed, bool has_classes)
{
	static const size_t rings[] = {S3_RING_BYTES, S3_RING_BYTES / 2, S3_RING_BYTES / 4};
	uint64_t largest;
	size_t i = 0;

	*a = (struct admit){.share_bytes = share_bytes, .is_fixed = is_fixed};
	while (i + 1 < sizeof(rings) / sizeof(rings[0]) && RELAYS_WANTED * (rings[i] + MIB) > share_bytes)
		i++;
	a->ring_max_bytes = rings[i];
	largest = a->ring_max_bytes + buffers_of(UINT64_MAX, UINT64_MAX, a->ring_max_bytes);
	assert(share_bytes >= largest && share_bytes >= ADMIT_FIXED_BYTES);
	if (!has_classes)
		return;
	a->floor_bytes[SCHED_HIGH] = share_bytes * 3 / 8;
	a->floor_bytes[SCHED_MEDIUM] = share_bytes / 8;
	a->floor_bytes[SCHED_LOW] = share_bytes / 8;
	assert(a->floor_bytes[SCHED_LOW] >= largest && a->floor_bytes[SCHED_LOW] >= ADMIT_FIXED_BYTES);
}

struct admit_cost admit_estimate(const struct admit *a, uint64_t relay_bytes, uint64_t body_bytes, uint64_t expected_bytes)
{
	uint64_t ring = relay_bytes < RING_MIN_BYTES ? RING_MIN_BYTES : relay_bytes, rest, most, useful;

	if (relay_bytes == 0)
		return (struct admit_cost){0};
	if (a->is_fixed)
		return (struct admit_cost){.ring_bytes = ADMIT_FIXED_BYTES / 2, .bytes = ADMIT_FIXED_BYTES};
	if (ring > a->ring_max_bytes)
		ring = a->ring_max_bytes;
	rest = buffers_of(relay_bytes, body_bytes, ring);
	most = expected_bytes > rest ? expected_bytes - rest : 0;
	useful = body_bytes < MIB ? RING_USEFUL_BYTES : RING_USEFUL_LARGE_BYTES;
	if (most < useful)
		most = useful;
	if (ring > most)
		ring = most;
	return (struct admit_cost){.ring_bytes = (size_t)ring, .bytes = ring + buffers_of(relay_bytes, body_bytes, ring)};
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
