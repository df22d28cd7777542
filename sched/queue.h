/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits for a slot, and how many slots there are. Pure.
 *
 * The classes share a pool of slots: each may take what the others leave, and each has a guaranteed number that it may
 * always take, so that it never waits for another's to end. Those for whom a person waits have slots of their own.
 *
 * Within a class the least key goes first. A class keeps a lane for each route and need, because what cannot start now
 * (its server is at its limit, there is no memory for its ring) must not hold up what can. */
#ifndef S3B_QUEUE_H
#define S3B_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/heap.h"
#include "sched/sched.h"

enum queue_need {
	QUEUE_PLAIN,
	QUEUE_RELAY, /* relay memory */
	QUEUE_OPEN,  /* begins another object made of parts */
};

/* Where it goes; compared by address. */
struct queue_route {
	const void *read, *write;
	enum queue_need need;
};

struct queue_lane {
	struct heap heap;
	struct queue_route route;
	bool is_blocked;
};

struct queue_item {
	struct heap_node node;
	enum sched_class class;
	struct queue_lane *lane;
};

struct queue_class {
	struct queue_lane **lanes; /* as many as there are routes: never more than pairs of servers */
	unsigned lane_count;
	unsigned slots_max;   /* 0: no bound of its own */
	unsigned guaranteed;
	unsigned running, waiting;
};

struct queue {
	struct queue_class classes[SCHED_CLASS__COUNT];
	bool is_fifo;         /* one lane for all, in the class of index 0: nothing overtakes */
	uint64_t next_key;    /* FIFO */
	unsigned pool_slots;
	unsigned pool_running;
	uint64_t from_bytes[SCHED_CLASS__COUNT]; /* the least size of a class */
};

/* As many as the pool may have when nothing else bounds it, and when nothing adapts. */
#define QUEUE_SLOTS_ADAPTIVE 512u
#define QUEUE_SLOTS_FIXED 80u
#define QUEUE_SLOTS_FIFO 48u

void queue_init(struct queue *q, const struct sched_config *config);
void queue_clear(struct queue *q);

void queue_push(struct queue *q, struct queue_item *it, enum sched_class class, struct queue_route route, uint64_t key);
/* The item of CLASS to start next, or NULL: nothing waits in a lane that is not blocked, or no slot is free. It stays
 * queued. */
struct queue_item *queue_next(const struct queue *q, enum sched_class class);
bool queue_has_slot(const struct queue *q, enum sched_class class);
/* Nothing of IT's lane can start for now. */
void queue_block(struct queue *q, struct queue_item *it);
void queue_unblock_all(struct queue *q);
/* IT leaves the queue and takes a slot. */
void queue_start(struct queue *q, struct queue_item *it);
/* IT, which was started, gives its slot back. */
void queue_end(struct queue *q, struct queue_item *it);
/* IT leaves the queue without having started. */
void queue_remove(struct queue *q, struct queue_item *it);
unsigned queue_length(const struct queue *q, enum sched_class class);
/* How many CLASS could have in flight now. */
unsigned queue_slots(const struct queue *q, enum sched_class class);

/* The class of an object of so many bytes. */
enum sched_class queue_class_of(const struct queue *q, uint64_t size_bytes);

/* The key of a request of an object that was submitted at NOW_MS and has so many bytes to go: the shortest remaining
 * first, but each second of waiting counts like some megabytes, so that the largest has its turn too. */
uint64_t queue_key(int64_t submitted_ms, uint64_t remaining_bytes);

#endif
