/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queues and slots of the classes. */
#include "sched/queue.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "sched/xalloc.h"

#define INTERACTIVE_SLOTS 256 /* attributes of a tree are asked for ahead: fewer, and a long round trip bounds cp -r */
#define AGEING_BYTES_PER_MS 20000u
#define KEY_REMAINING_MAX ((uint64_t)1 << 46) /* 64 TiB: no object is larger */

static const struct {
	const char *name;
	unsigned guaranteed;
} class_table[SCHED_CLASS__COUNT] = {
	[SCHED_INTERACTIVE] = {"interactive", INTERACTIVE_SLOTS},
	[SCHED_HIGH] = {"high", 24},
	[SCHED_MEDIUM] = {"medium", 8},
	[SCHED_LOW] = {"low", 8},
};

const char *sched_class_name(enum sched_class c)
{
	assert((unsigned)c < SCHED_CLASS__COUNT);
	return class_table[c].name;
}

enum sched_class queue_class_of(const struct queue *q, uint64_t size_bytes)
{
	if (size_bytes >= q->from_bytes[SCHED_LOW])
		return SCHED_LOW;
	return size_bytes >= q->from_bytes[SCHED_MEDIUM] ? SCHED_MEDIUM : SCHED_HIGH;
}

uint64_t queue_key(int64_t submitted_ms, uint64_t remaining_bytes)
{
	if (remaining_bytes > KEY_REMAINING_MAX)
		remaining_bytes = KEY_REMAINING_MAX;
	return (uint64_t)submitted_ms * AGEING_BYTES_PER_MS + remaining_bytes;
}

/* What is guaranteed must not be more than there is. */
static unsigned guaranteed_of(const struct sched_config *config, enum sched_class class)
{
	unsigned share = class_table[class].guaranteed, most = config->concurrency / (class == SCHED_HIGH ? 2 : 4);

	if (config->concurrency == 0 || class == SCHED_INTERACTIVE || share <= most)
		return share;
	return most > 0 ? most : 1;
}

void queue_init(struct queue *q, const struct sched_config *config)
{
	unsigned c;

	*q = (struct queue){.is_fifo = config->no_priority_queues};
	q->pool_slots = q->is_fifo ? QUEUE_SLOTS_FIFO : QUEUE_SLOTS_FIXED;
	if (!config->no_network_monitor)
		q->pool_slots = QUEUE_SLOTS_ADAPTIVE;
	if (config->concurrency)
		q->pool_slots = config->concurrency;
	for (c = 0; c < SCHED_CLASS__COUNT; c++) {
		q->classes[c].guaranteed = guaranteed_of(config, c);
		q->classes[c].slots_max = config->slots[c];
		if (q->pool_slots < config->slots[c])
			q->pool_slots = config->slots[c];
	}
	q->from_bytes[SCHED_MEDIUM] = config->medium_from_bytes ? config->medium_from_bytes : 1000000;
	q->from_bytes[SCHED_LOW] = config->low_from_bytes ? config->low_from_bytes : 100000000;
}

void queue_clear(struct queue *q)
{
	unsigned c, l;

	for (c = 0; c < SCHED_CLASS__COUNT; c++) {
		struct queue_class *qc = &q->classes[c];

		for (l = 0; l < qc->lane_count; l++) {
			heap_clear(&qc->lanes[l]->heap);
			free(qc->lanes[l]);
		}
		free(qc->lanes);
	}
}

static struct queue_lane *lane_of(struct queue_class *c, struct queue_route route)
{
	struct queue_lane *lane;
	unsigned l;

	for (l = 0; l < c->lane_count; l++) {
		const struct queue_route *r = &c->lanes[l]->route;

		if (r->read == route.read && r->write == route.write && r->need == route.need)
			return c->lanes[l];
	}
	c->lanes = xreallocarray(c->lanes, c->lane_count + 1, sizeof(struct queue_lane *));
	lane = c->lanes[c->lane_count++] = xcalloc(1, sizeof(*lane));
	lane->route = route;
	return lane;
}

void queue_push(struct queue *q, struct queue_item *it, enum sched_class class, struct queue_route route, uint64_t key)
{
	assert((unsigned)class < SCHED_CLASS__COUNT);
	if (q->is_fifo) {
		class = 0;
		route = (struct queue_route){0}; /* nothing overtakes what cannot start */
		key = q->next_key++;
	}
	it->class = class;
	it->lane = lane_of(&q->classes[class], route);
	q->classes[class].waiting++;
	heap_push(&it->lane->heap, &it->node, key);
}

bool queue_has_slot(const struct queue *q, enum sched_class class)
{
	const struct queue_class *c = &q->classes[class];

	if (q->is_fifo)
		return q->pool_running < q->pool_slots;
	if (c->slots_max && c->running >= c->slots_max)
		return false;
	return c->running < c->guaranteed || (class != SCHED_INTERACTIVE && q->pool_running < q->pool_slots);
}

struct queue_item *queue_next(const struct queue *q, enum sched_class class)
{
	const struct queue_class *c = &q->classes[class];
	struct heap_node *best = NULL;
	unsigned l;

	if (c->waiting == 0 || !queue_has_slot(q, class))
		return NULL;
	for (l = 0; l < c->lane_count; l++) {
		struct heap_node *n = c->lanes[l]->is_blocked ? NULL : heap_first(&c->lanes[l]->heap);

		if (n && (!best || n->key < best->key))
			best = n;
	}
	return best ? (struct queue_item *)((char *)best - offsetof(struct queue_item, node)) : NULL;
}

void queue_block(struct queue *q, struct queue_item *it)
{
	it->lane->is_blocked = true;
}

void queue_unblock_all(struct queue *q)
{
	unsigned c, l;

	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		for (l = 0; l < q->classes[c].lane_count; l++)
			q->classes[c].lanes[l]->is_blocked = false;
}

static bool in_pool(const struct queue *q, enum sched_class class)
{
	return q->is_fifo || class != SCHED_INTERACTIVE;
}

void queue_start(struct queue *q, struct queue_item *it)
{
	queue_remove(q, it);
	q->classes[it->class].running++;
	if (in_pool(q, it->class))
		q->pool_running++;
}

void queue_end(struct queue *q, struct queue_item *it)
{
	assert(q->classes[it->class].running > 0);
	q->classes[it->class].running--;
	if (in_pool(q, it->class))
		q->pool_running--;
}

void queue_remove(struct queue *q, struct queue_item *it)
{
	heap_remove(&it->lane->heap, &it->node);
	q->classes[it->class].waiting--;
}

unsigned queue_length(const struct queue *q, enum sched_class class)
{
	return q->classes[class].waiting;
}

unsigned queue_slots(const struct queue *q, enum sched_class class)
{
	const struct queue_class *c = &q->classes[class];
	unsigned slots = c->guaranteed, left = q->pool_slots - (q->pool_running < q->pool_slots ? q->pool_running : q->pool_slots);

	if (q->is_fifo)
		return class == 0 ? q->pool_slots : 0;
	if (class != SCHED_INTERACTIVE && c->running + left > slots)
		slots = c->running + left;
	return c->slots_max && c->slots_max < slots ? c->slots_max : slots;
}
