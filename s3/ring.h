/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ring between the two halves of a relay, and a pool that keeps the memory of rings warm.
 *
 * No lock anywhere here: a ring and its pool belong to one transfer thread. */
#ifndef S3B_RING_H
#define S3B_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	unsigned char *data;
	size_t allocated_bytes; /* of data; a size class of the pool */
	size_t capacity_bytes;
	size_t used_bytes;
	size_t most_bytes;      /* that were used at a time */
	size_t read_at;         /* where the oldest byte is */
	uint64_t read_bytes;    /* in all, since ring_reset or ring_rewind */
	bool overwritten;       /* a byte that was read is gone: no way back to the start */
};

static inline size_t ring_used(const struct ring *r)
{
	return r->used_bytes;
}

static inline size_t ring_free(const struct ring *r)
{
	return r->capacity_bytes - r->used_bytes;
}

/* LEN must fit. */
void ring_write(struct ring *r, const void *bytes, size_t len);
/* Takes up to LEN bytes; returns how many. */
size_t ring_read(struct ring *r, void *bytes, size_t len);
/* Everything ever written can be read again from the start. False when some of it has been overwritten. */
bool ring_rewind(struct ring *r);

#define RING_POOL_CLASSES 8 /* 16 KiB, 32 KiB, ... 2 MiB */

struct ring_buffer;
struct ring_pool {
	struct ring_buffer *free[RING_POOL_CLASSES];
	size_t held_bytes; /* on the free lists */
	size_t limit_bytes;
};

void ring_pool_init(struct ring_pool *p, size_t limit_bytes);
/* Gives everything on the free lists back to the system. */
void ring_pool_trim(struct ring_pool *p);

/* CAPACITY_BYTES: 1 to 2 MiB. 0 or -ENOMEM. */
int ring_open(struct ring *r, struct ring_pool *p, size_t capacity_bytes);
void ring_close(struct ring *r, struct ring_pool *p); /* a ring that is all zero is allowed */

#endif
