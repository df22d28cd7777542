/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the queue to the backend: what a task needs to be sent, and what it holds while it is out. For the files that
 * run tasks. */
#ifndef S3B_DISPATCH_H
#define S3B_DISPATCH_H

#include "sched/late.h"
#include "sched/task.h"

static inline struct net_path *task_read_path(const struct sched_task *t)
{
	return t->read ? &t->read->paths[SCHED_READ] : NULL;
}

static inline struct net_path *task_write_path(const struct sched_task *t)
{
	return t->write ? &t->write->paths[SCHED_WRITE] : NULL;
}

static inline uint64_t task_object_bytes(const struct sched_task *t)
{
	return t->object_bytes ? t->object_bytes : t->body_bytes;
}

static inline enum late_kind task_late_kind(enum s3_op op)
{
	return op == S3_OP_LIST ? LATE_LIST : LATE_OBJECT;
}

/* Begins an object made of parts that is not counted among the open ones yet. */
bool task_is_to_open(const struct sched_task *t);
/* What answers late without being slow: the server works, and no byte moves. */
bool task_is_transfer(enum s3_op op);

/* The relay memory of one request of T. */
struct admit_cost task_cost(struct sched *s, struct sched_task *t);
bool task_take_memory(struct sched *s, const struct sched_task *t, struct admit_cost cost); /* false: not now */
void task_give_memory(struct sched *s, const struct sched_task *t, uint64_t bytes);

/* R, T's request or its hedge, goes to the backend with BYTES of memory. */
void task_send(struct sched *s, struct sched_task *t, struct s3_request *r, uint64_t bytes);
/* Asks that R end, unless it is back or was asked already. */
void task_cancel_try(struct sched *s, struct sched_task *t, struct s3_request *r);

#endif
