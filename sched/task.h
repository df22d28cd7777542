/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A task is one S3 request on its way: queued, in flight, waiting to be tried again, until it ends for good. */
#ifndef S3B_TASK_H
#define S3B_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sched/internal.h"

enum task_state {
	TASK_IDLE,
	TASK_QUEUED,
	TASK_RUNNING, /* the backend has the request */
	TASK_BACKOFF, /* waits on a timer */
	TASK_ENDED,   /* the callback is due */
};

/* A request that is out for a task: its own, or the hedge. */
struct task_try {
	uint64_t memory_bytes; /* reserved for it */
	bool is_out;           /* the backend has it */
	bool is_cancelled;
};

/* Lives in its owner's record. The fields of the first group are the owner's, set before task_start. */
struct sched_task {
	enum sched_class class;
	int64_t since_ms;      /* when the job was submitted, */
	uint64_t remaining_bytes; /* and how much of it is still to do: both decide its turn */
	const struct s3_bucket *read_from, *write_to; /* whose servers it keeps busy; either may be NULL */
	bool opens_object;     /* begins an upload in parts, of which not too many run at once */
	uint64_t relay_bytes;  /* of the body, from other objects */
	uint64_t body_bytes;
	uint64_t object_bytes; /* of which this is a part; 0: the body is all */
	unsigned workers;      /* that move the object; 0: one */
	/* Makes the request, when it is about to be sent for the first time: what is only queued should be small. */
	struct s3_request *(*build)(struct sched_task *t);
	/* Before another attempt: adapts the request, or false to give up. NULL: the same again. */
	bool (*again)(struct sched_task *t);
	/* Once. R is valid during the call; T is idle and may be started again or freed. */
	void (*done)(struct sched *s, struct sched_task *t, const struct s3_result *r);
	/* Does somebody wait for just this? Then it may be sent twice when it is late (hedge.h). NULL: nobody ever does. */
	bool (*is_awaited)(const struct sched_task *t);
	bool keep_request;     /* the request outlives DONE: it is the owner's */
	unsigned retry_max;    /* 0: as the policy says */

	enum task_state state;
	bool cancelled;
	unsigned attempts, timeouts; /* of them so many were given up before the first byte */
	enum sched_class line;       /* in which it competes: its class, or one for all where there are no priorities */
	double memory_factor;        /* of the link when its memory was worked out */
	struct s3_request *request;
	struct s3_request *hedge;    /* the same, sent again; NULL: none */
	struct s3_request *winner;   /* of the two, when it is back */
	struct task_try tries[2];    /* of request and hedge */
	unsigned unsettled;          /* of them so many were sent and are not dealt with */
	_Atomic(struct s3_request *) race;
	struct net_endpoint *read, *write;
	struct queue_item item;
	struct heap_node timer;      /* backing off: of the next attempt; running: of the hedge */
	struct sched_task *prev, *next; /* in s->ended */
};

void task_start(struct sched *s, struct sched_task *t);
/* It ends soon, with S3_ERR_CANCELLED or what happened first; DONE is called later, not from here. */
void task_cancel(struct sched *s, struct sched_task *t);
static inline bool task_is_active(const struct sched_task *t)
{
	return t->state != TASK_IDLE;
}

/* The loop's part. */
void tasks_expire(struct sched *s);   /* timers that are due */
void tasks_dispatch(struct sched *s); /* fills free slots */
void tasks_finish(struct sched *s, struct s3_request *const *done, size_t count); /* they came back from the backend */
bool tasks_end(struct sched *s);      /* callbacks that are due; false: none was */
int64_t tasks_next_ms(const struct sched *s); /* until the first timer, -1: none */

/* Sends R by itself, tries a few times, and forgets it. */
void task_background(struct sched *s, struct s3_request *r);
void tasks_background_cancel(struct sched *s);

#endif
