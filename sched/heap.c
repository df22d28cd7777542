/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A binary heap with the place kept in the node, so that anything can be taken out in O(log n). */
#include "sched/heap.h"

#include <assert.h>
#include <stdlib.h>

#include "sched/xalloc.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void put(struct heap *h, size_t i, struct heap_node *n)
{
	h->nodes[i] = n;
	n->place = i + 1;
}

static void sift_up(struct heap *h, size_t i, struct heap_node *n)
{
	while (i > 0) {
		size_t parent = (i - 1) / 2;

		if (!before(n, h->nodes[parent]))
			break;
		put(h, i, h->nodes[parent]);
		i = parent;
	}
	put(h, i, n);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *n)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count && before(h->nodes[child + 1], h->nodes[child]))
			child++;
		if (!before(h->nodes[child], n))
			break;
		put(h, i, h->nodes[child]);
		i = child;
	}
	put(h, i, n);
}

void heap_push(struct heap *h, struct heap_node *n, uint64_t key)
{
	assert(n->place == 0);
	if (h->count == h->capacity) {
		h->capacity = h->capacity ? 2 * h->capacity : 64;
		h->nodes = xreallocarray(h->nodes, h->capacity, sizeof(*h->nodes));
	}
	n->key = key;
	n->tie = h->next_tie++;
	sift_up(h, h->count++, n);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	size_t i = n->place - 1;
	struct heap_node *last;

	assert(n->place != 0 && h->nodes[i] == n);
	n->place = 0;
	last = h->nodes[--h->count];
	if (last == n)
		return;
	if (i > 0 && before(last, h->nodes[(i - 1) / 2]))
		sift_up(h, i, last);
	else
		sift_down(h, i, last);
}

void heap_clear(struct heap *h)
{
	assert(h->count == 0);
	free(h->nodes);
	*h = (struct heap){0};
}
