/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ring arithmetic, and the pool of ring memory. */
#include "s3/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST_CLASS_BYTES ((size_t)16 << 10)

void ring_write(struct ring *r, const void *bytes, size_t len)
{
	const unsigned char *from = bytes;
	size_t at, first;

	assert(len <= ring_free(r));
	/* An empty ring starts again at the front, because memory that was used a moment ago is still in the
	 * processor's cache. Not while nothing is lost yet and the rest fits behind: then it could be rewound. */
	if (r->used_bytes == 0 && r->read_at > 0 && (r->overwritten || r->read_at + len > r->capacity_bytes)) {
		r->read_at = 0;
		r->overwritten = true;
	}
	at = r->read_at + r->used_bytes;
	if (at >= r->capacity_bytes)
		at -= r->capacity_bytes;
	first = r->capacity_bytes - at < len ? r->capacity_bytes - at : len;
	/* Crossing the end, or standing before the oldest byte, overwrites what was read earlier. */
	if (first < len || at < r->read_at)
		r->overwritten = true;
	memcpy(r->data + at, from, first);
	if (len > first)
		memcpy(r->data, from + first, len - first);
	r->used_bytes += len;
	if (r->used_bytes > r->most_bytes)
		r->most_bytes = r->used_bytes;
}

size_t ring_read(struct ring *r, void *bytes, size_t len)
{
	unsigned char *to = bytes;
	size_t first;

	if (len > r->used_bytes)
		len = r->used_bytes;
	first = r->capacity_bytes - r->read_at < len ? r->capacity_bytes - r->read_at : len;
	memcpy(to, r->data + r->read_at, first);
	if (len > first)
		memcpy(to + first, r->data, len - first);
	r->read_at += len;
	if (r->read_at >= r->capacity_bytes && r->overwritten)
		r->read_at -= r->capacity_bytes;
	r->used_bytes -= len;
	r->read_bytes += len;
	return len;
}

bool ring_rewind(struct ring *r)
{
	if (r->read_bytes == 0)
		return true;
	if (r->overwritten)
		return false;
	/* Nothing was overwritten, so reading began at the front and everything since lies in one piece. */
	r->used_bytes += (size_t)r->read_bytes;
	r->read_at = 0;
	r->read_bytes = 0;
	return true;
}

/* Free memory is linked through its own first bytes. */
struct ring_buffer {
	struct ring_buffer *next;
};

static unsigned size_class(size_t bytes)
{
	unsigned c = 0;

	while (SMALLEST_CLASS_BYTES << c < bytes)
		c++;
	assert(c < RING_POOL_CLASSES);
	return c;
}

void ring_pool_init(struct ring_pool *p, size_t limit_bytes)
{
	*p = (struct ring_pool){.limit_bytes = limit_bytes};
}

void ring_pool_trim(struct ring_pool *p)
{
	for (unsigned c = 0; c < RING_POOL_CLASSES; c++) {
		while (p->free[c]) {
			struct ring_buffer *b = p->free[c];

			p->free[c] = b->next;
			free(b);
		}
	}
	p->held_bytes = 0;
}

int ring_open(struct ring *r, struct ring_pool *p, size_t capacity_bytes)
{
	unsigned c;
	struct ring_buffer *b;

	assert(capacity_bytes > 0);
	c = size_class(capacity_bytes);
	b = p->free[c];
	if (b) {
		p->free[c] = b->next;
		p->held_bytes -= SMALLEST_CLASS_BYTES << c;
	} else {
		b = malloc(SMALLEST_CLASS_BYTES << c);
		if (!b)
			return -ENOMEM;
	}
	*r = (struct ring){
		.data = (unsigned char *)b,
		.allocated_bytes = SMALLEST_CLASS_BYTES << c,
		.capacity_bytes = capacity_bytes,
	};
	return 0;
}

void ring_close(struct ring *r, struct ring_pool *p)
{
	struct ring_buffer *b = (struct ring_buffer *)(void *)r->data;
	unsigned c;

	if (b && p->held_bytes + r->allocated_bytes <= p->limit_bytes) {
		c = size_class(r->allocated_bytes);
		b->next = p->free[c];
		p->free[c] = b;
		p->held_bytes += r->allocated_bytes;
	} else {
		free(b);
	}
	*r = (struct ring){0};
}
