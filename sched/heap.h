/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A binary heap of nodes that live inside the caller's records: timers by due time, queued work by age. Pure. */
#ifndef S3B_HEAP_H
#define S3B_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t key;  /* smallest first */
	uint64_t tie;  /* among equal keys: first pushed, first out; set by heap_push */
	size_t place;  /* 1 + index in the heap, 0: not in one */
};

struct heap {
	struct heap_node **nodes;
	size_t count, capacity;
	uint64_t next_tie;
};

void heap_push(struct heap *h, struct heap_node *n, uint64_t key);
struct heap_node *heap_first(const struct heap *h); /* NULL: empty */
void heap_remove(struct heap *h, struct heap_node *n);
void heap_clear(struct heap *h); /* frees the array; the nodes are the caller's */

static inline bool heap_contains(const struct heap_node *n)
{
	return n->place != 0;
}

#endif
