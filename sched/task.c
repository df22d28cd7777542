/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks: from the queue to the backend and back, with retries. */
#include "sched/task.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "s3/base/log.h"
#include "sched/xalloc.h"

#define BACKGROUND_RETRY_MAX 5
#define CANCELLED_TEXT "it was cancelled"

static void enqueue(struct sched *s, struct sched_task *t)
{
	t->state = TASK_QUEUED;
	queue_push(&s->queue, &t->item, t->class, t->relay_bytes ? QUEUE_RELAY : QUEUE_PLAIN, t->age);
}

static void end_later(struct sched *s, struct sched_task *t)
{
	t->state = TASK_ENDED;
	DL_APPEND(s->ended, t);
}

void task_start(struct sched *s, struct sched_task *t)
{
	sched_assert_thread(s);
	assert(t->state == TASK_IDLE);
	t->attempts = 0;
	t->cancelled = false;
	enqueue(s, t);
}

void task_cancel(struct sched *s, struct sched_task *t)
{
	sched_assert_thread(s);
	if (t->cancelled)
		return;
	t->cancelled = true;
	switch (t->state) {
	case TASK_QUEUED:
		queue_remove(&s->queue, &t->item);
		end_later(s, t);
		break;
	case TASK_BACKOFF:
		heap_remove(&s->timers, &t->timer);
		end_later(s, t);
		break;
	case TASK_RUNNING:
		s->backend->ops->cancel(s->backend, t->request);
		break;
	case TASK_IDLE:
	case TASK_ENDED:
		break;
	}
}

/* --------------------------------------------------------------------------------------------------- start */

static void submit(struct sched *s, struct sched_task *t, struct admit_cost cost)
{
	struct s3_request *r;

	queue_start(&s->queue, &t->item);
	if (!t->request)
		t->request = t->build(t);
	r = t->request;
	r->user = t;
	if (cost.ring_bytes)
		r->ring_bytes = cost.ring_bytes;
	t->memory_bytes = cost.bytes;
	t->state = TASK_RUNNING;
	t->attempts++;
	s->stats.requests[r->op]++;
	s->in_flight++;
	s->backend->ops->submit(s->backend, r);
}

/* Starts the next of CLASS. False: nothing can start. */
static bool dispatch_one(struct sched *s, enum sched_class class, bool *relay_allowed)
{
	struct queue_item *it = queue_next(&s->queue, class, *relay_allowed);
	struct admit_cost cost;
	struct sched_task *t;

	if (!it)
		return false;
	t = container_of(it, struct sched_task, item);
	cost = admit_estimate(&s->admit, t->relay_bytes, t->body_bytes);
	if (cost.bytes > 0) {
		if (!admit_allowed(&s->admit, class, cost.bytes) ||
		    !sched_memory_try(s->memory, SCHED_MEMORY_RELAY, cost.bytes)) {
			*relay_allowed = false;
			return true; /* there may be others that need no memory */
		}
		admit_take(&s->admit, class, cost.bytes);
	}
	submit(s, t, cost);
	return true;
}

void tasks_dispatch(struct sched *s)
{
	unsigned c;

	for (c = 0; c < SCHED_CLASS__COUNT; c++) {
		bool relay_allowed = true;

		while (dispatch_one(s, c, &relay_allowed))
			;
	}
}

/* ----------------------------------------------------------------------------------------------------- end */

static void finish(struct sched *s, struct sched_task *t, const struct s3_result *result)
{
	struct s3_request *r = t->request;
	bool keep = t->keep_request;

	t->state = TASK_IDLE;
	t->request = NULL;
	t->done(s, t, result);
	if (!keep)
		s3_request_free(r);
}

static void set_cancelled(struct s3_request *r)
{
	r->result.error = S3_ERR_CANCELLED;
	snprintf(r->result.message, sizeof(r->result.message), "%s", CANCELLED_TEXT);
}

static void back_off(struct sched *s, struct sched_task *t)
{
	const struct s3_result *r = &t->request->result;
	int64_t delay_ms = retry_delay_ms(&s->retry, t->attempts, r->retry_after_ms, retry_random(&s->random));

	log_debug("%s %s: %s; trying again in %lld ms (attempt %u)", s3_op_name(t->request->op),
		  t->request->key ? t->request->key : "", s3_error_name(r->error), (long long)delay_ms, t->attempts);
	s3_request_rearm(t->request);
	s->stats.retries++;
	t->state = TASK_BACKOFF;
	heap_push(&s->timers, &t->timer, (uint64_t)(s->now_ms + delay_ms));
}

static bool try_again(struct sched *s, struct sched_task *t)
{
	const struct s3_request *r = t->request;

	if (t->cancelled || (t->retry_max && t->attempts > t->retry_max))
		return false;
	return retry_allowed(&s->retry, r->op, r->result.error, t->attempts) && (!t->again || t->again(t));
}

void tasks_finish(struct sched *s, struct s3_request *r)
{
	struct sched_task *t = r->user;

	assert(t->state == TASK_RUNNING && t->request == r);
	s->in_flight--;
	queue_end(&s->queue, &t->item);
	if (t->memory_bytes > 0) {
		admit_give(&s->admit, t->class, t->memory_bytes);
		sched_memory_release(s->memory, SCHED_MEMORY_RELAY, t->memory_bytes);
		t->memory_bytes = 0;
	}
	if (t->cancelled && r->result.error != S3_OK)
		set_cancelled(r); /* whatever it was that came first */
	if (r->result.error == S3_ERR_THROTTLED)
		s->stats.throttled++;
	if (r->result.error != S3_OK && try_again(s, t))
		back_off(s, t);
	else
		finish(s, t, &r->result);
}

bool tasks_end(struct sched *s)
{
	static const struct s3_result cancelled = {
		.error = S3_ERR_CANCELLED,
		.message = CANCELLED_TEXT,
		.retry_after_ms = -1,
	};
	struct sched_task *t = s->ended;

	if (!t)
		return false;
	while ((t = s->ended)) {
		DL_DELETE(s->ended, t);
		if (t->request) {
			s3_request_rearm(t->request);
			set_cancelled(t->request);
		}
		finish(s, t, &cancelled);
	}
	return true;
}

void tasks_expire(struct sched *s)
{
	struct heap_node *n;

	while ((n = heap_first(&s->timers)) && n->key <= (uint64_t)s->now_ms) {
		heap_remove(&s->timers, n);
		enqueue(s, container_of(n, struct sched_task, timer));
	}
}

int64_t tasks_next_ms(const struct sched *s)
{
	const struct heap_node *n = heap_first(&s->timers);

	if (!n)
		return -1;
	return (int64_t)n->key > s->now_ms ? (int64_t)n->key - s->now_ms : 0;
}

/* ---------------------------------------------------------------------------------------------- background */

struct background {
	struct sched_task task;
	struct background *prev, *next;
};

static void background_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct background *b = container_of(t, struct background, task);

	if (r->error != S3_OK && r->error != S3_ERR_NO_UPLOAD && r->error != S3_ERR_NOT_FOUND)
		log_warn("could not clean up: %s", r->message);
	DL_DELETE(s->background, b);
	free(b);
}

void task_background(struct sched *s, struct s3_request *r)
{
	struct background *b = xcalloc(1, sizeof(*b));

	b->task.class = SCHED_HIGH;
	b->task.age = s->next_age++;
	b->task.done = background_done;
	b->task.request = r;
	b->task.retry_max = BACKGROUND_RETRY_MAX;
	DL_APPEND(s->background, b);
	task_start(s, &b->task);
	if (s->stopping && s->now_ms >= s->stop_deadline_ms)
		task_cancel(s, &b->task);
}

void tasks_background_cancel(struct sched *s)
{
	struct background *b;

	DL_FOREACH(s->background, b)
		task_cancel(s, &b->task);
}
