/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queues and slots of the classes. */
#include "sched/queue.h"

#include <assert.h>
#include <stddef.h>

static const struct {
	const char *name;
	unsigned slots;            /* requests in flight */
	uint64_t size_below_bytes; /* objects below this belong here; 0: no object does by its size */
} class_table[SCHED_CLASS__COUNT] = {
	[SCHED_INTERACTIVE] = {"interactive", 64, 0},
	[SCHED_HIGH] = {"high", 96, 1000000},
	[SCHED_MEDIUM] = {"medium", 16, 100000000},
	[SCHED_LOW] = {"low", 16, UINT64_MAX},
};

const char *sched_class_name(enum sched_class c)
{
	assert((unsigned)c < SCHED_CLASS__COUNT);
	return class_table[c].name;
}

enum sched_class queue_class_of(uint64_t size_bytes)
{
	enum sched_class c = SCHED_HIGH;

	while (c < SCHED_LOW && size_bytes >= class_table[c].size_below_bytes)
		c++;
	return c;
}

void queue_init(struct queue *q, const unsigned slots[SCHED_CLASS__COUNT])
{
	unsigned c;

	*q = (struct queue){0};
	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		q->classes[c].slots = slots[c] ? slots[c] : class_table[c].slots;
}

void queue_clear(struct queue *q)
{
	unsigned c, l;

	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		for (l = 0; l < QUEUE_LANE__COUNT; l++)
			heap_clear(&q->classes[c].lanes[l]);
}

void queue_push(struct queue *q, struct queue_item *it, enum sched_class class, enum queue_lane lane, uint64_t age)
{
	assert((unsigned)class < SCHED_CLASS__COUNT);
	it->class = class;
	it->lane = lane;
	heap_push(&q->classes[class].lanes[lane], &it->node, age);
}

static struct queue_item *item_of(struct heap_node *n)
{
	return n ? (struct queue_item *)((char *)n - offsetof(struct queue_item, node)) : NULL;
}

struct queue_item *queue_next(const struct queue *q, enum sched_class class, bool relay_allowed)
{
	const struct queue_class *c = &q->classes[class];
	struct heap_node *plain = heap_first(&c->lanes[QUEUE_PLAIN]);
	struct heap_node *relay = relay_allowed ? heap_first(&c->lanes[QUEUE_RELAY]) : NULL;

	if (c->running >= c->slots)
		return NULL;
	if (plain && relay)
		return item_of(relay->key < plain->key ? relay : plain);
	return item_of(plain ? plain : relay);
}

void queue_start(struct queue *q, struct queue_item *it)
{
	queue_remove(q, it);
	q->classes[it->class].running++;
}

void queue_end(struct queue *q, struct queue_item *it)
{
	assert(q->classes[it->class].running > 0);
	q->classes[it->class].running--;
}

void queue_remove(struct queue *q, struct queue_item *it)
{
	heap_remove(&q->classes[it->class].lanes[it->lane], &it->node);
}

unsigned queue_length(const struct queue *q, enum sched_class class)
{
	const struct queue_class *c = &q->classes[class];

	return (unsigned)(c->lanes[QUEUE_PLAIN].count + c->lanes[QUEUE_RELAY].count);
}
