/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits for a slot, and how many slots there are. Pure.
 *
 * Each class has its own slots, so no class waits for another. Within a class the oldest job goes first (not the oldest
 * request: else a thousand large objects would all be open at once, and all would end last). A class keeps requests that
 * need relay memory apart from those that need none, so that a delete does not wait for a ring. */
#ifndef S3B_QUEUE_H
#define S3B_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/heap.h"
#include "sched/sched.h"

enum queue_lane {
	QUEUE_PLAIN,
	QUEUE_RELAY, /* needs relay memory */
	QUEUE_LANE__COUNT,
};

struct queue_item {
	struct heap_node node;
	enum sched_class class;
	enum queue_lane lane;
};

struct queue_class {
	struct heap lanes[QUEUE_LANE__COUNT];
	unsigned slots;
	unsigned running;
};

struct queue {
	struct queue_class classes[SCHED_CLASS__COUNT];
};

/* SLOTS of 0 become the default of their class. */
void queue_init(struct queue *q, const unsigned slots[SCHED_CLASS__COUNT]);
void queue_clear(struct queue *q);

/* AGE: the number of the job in order of submission. */
void queue_push(struct queue *q, struct queue_item *it, enum sched_class class, enum queue_lane lane, uint64_t age);
/* The item of CLASS to start next, or NULL: nothing waits or no slot is free. It stays queued. */
struct queue_item *queue_next(const struct queue *q, enum sched_class class, bool relay_allowed);
/* IT leaves the queue and takes a slot. */
void queue_start(struct queue *q, struct queue_item *it);
/* IT, which was started, gives its slot back. */
void queue_end(struct queue *q, struct queue_item *it);
/* IT leaves the queue without having started. */
void queue_remove(struct queue *q, struct queue_item *it);
unsigned queue_length(const struct queue *q, enum sched_class class);

/* The class of an object of so many bytes. */
enum sched_class queue_class_of(uint64_t size_bytes);

#endif
