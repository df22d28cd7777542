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

/* How many parts of a class should be able to run side by side: objects are opened until so many can. More of them would
 * only all end late. */
static const unsigned parts_wanted[SCHED_CLASS__COUNT] = {
	[SCHED_INTERACTIVE] = 64,
	[SCHED_HIGH] = 64,
	[SCHED_MEDIUM] = 128, /* they have few parts each */
	[SCHED_LOW] = 32,
};

/* One that is tried again is counted among the open ones already. */
static bool is_to_open(const struct sched_task *t)
{
	return t->opens_object && t->attempts == 0;
}

static bool may_open(const struct sched *s, enum sched_class class)
{
	unsigned most = (parts_wanted[class] + s->chunk_workers - 1) / s->chunk_workers;

	return s->config.no_priority_queues || s->open_uploads[class] < (most < 4 ? 4 : most);
}

static struct net_endpoint *endpoint_of(struct sched *s, const struct s3_bucket *b)
{
	return b ? net_endpoint(&s->net, s3_bucket_endpoint(b), s->now_ms * 1000) : NULL;
}

static void enqueue(struct sched *s, struct sched_task *t)
{
	struct queue_route route = {.need = t->relay_bytes ? QUEUE_RELAY : QUEUE_PLAIN};

	if (is_to_open(t))
		route.need = QUEUE_OPEN;
	t->read = endpoint_of(s, t->read_from);
	t->write = endpoint_of(s, t->write_to);
	route.read = t->read;
	route.write = t->write;
	t->state = TASK_QUEUED;
	queue_push(&s->queue, &t->item, t->class, route, queue_key(t->since_ms, t->remaining_bytes));
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

static struct net_path *read_path(const struct sched_task *t)
{
	return t->read ? &t->read->paths[SCHED_READ] : NULL;
}

static struct net_path *write_path(const struct sched_task *t)
{
	return t->write ? &t->write->paths[SCHED_WRITE] : NULL;
}

/* What answers late without being slow: the server works, and no byte moves. */
static bool is_transfer(enum s3_op op)
{
	return op == S3_OP_GET || op == S3_OP_HEAD || op == S3_OP_LIST || op == S3_OP_PUT || op == S3_OP_UPLOAD_PART;
}

static int64_t stall_ms(const struct sched *s, const struct sched_task *t, enum s3_op op)
{
	int64_t read_ms = t->read ? net_path_stall_ms(read_path(t)) : 0;
	int64_t write_ms = t->write ? net_path_stall_ms(write_path(t)) : 0;

	if (s->config.no_streaming_optimizer || !is_transfer(op) || (t->read && !read_ms) || (t->write && !write_ms))
		return 0;
	return read_ms > write_ms ? read_ms : write_ms;
}

static void submit(struct sched *s, struct sched_task *t, struct admit_cost cost)
{
	struct s3_request *r;

	queue_start(&s->queue, &t->item);
	if (t->read)
		net_path_start(read_path(t), t->class, s->now_ms * 1000);
	if (t->write)
		net_path_start(write_path(t), t->class, s->now_ms * 1000);
	if (!t->request)
		t->request = t->build(t);
	r = t->request;
	r->user = t;
	r->stall_timeout_ms = stall_ms(s, t, r->op);
	if (cost.ring_bytes)
		r->ring_bytes = cost.ring_bytes;
	t->memory_bytes = cost.bytes;
	t->state = TASK_RUNNING;
	t->attempts++;
	s->stats.requests[r->op]++;
	s->in_flight++;
	s->backend->ops->submit(s->backend, r);
}

static bool path_allows(struct sched *s, struct net_path *p, enum sched_class class)
{
	int64_t now_us = s->now_ms * 1000, next_us;

	if (!p || net_path_allows(p, class, now_us))
		return true;
	next_us = net_path_next_us(p, now_us);
	if (next_us >= 0 && (s->paced_until_ms < 0 || next_us / 1000 + 1 < s->paced_until_ms))
		s->paced_until_ms = next_us / 1000 + 1;
	return false;
}

static uint64_t object_bytes(const struct sched_task *t)
{
	return t->object_bytes ? t->object_bytes : t->body_bytes;
}

static bool take_memory(struct sched *s, struct sched_task *t, struct admit_cost *cost)
{
	struct engine_class *ec = &s->engine[t->class];

	t->memory_factor = t->write ? net_band_factor(net_path_band(write_path(t))) : 1;
	*cost = admit_estimate(&s->admit, t->relay_bytes, t->body_bytes,
			       profile_estimate(&s->profiles, object_bytes(t), t->workers, t->memory_factor));
	if (cost->bytes == 0)
		return true;
	if (!admit_allowed(&s->admit, t->class, cost->bytes) ||
	    !sched_memory_try(s->memory, SCHED_MEMORY_RELAY, cost->bytes)) {
		if (!ec->waiting_since_ms) {
			ec->waiting_since_ms = s->now_ms;
			ec->waits++;
		}
		return false;
	}
	if (ec->waiting_since_ms)
		ec->waited_ms += (uint64_t)(s->now_ms - ec->waiting_since_ms);
	ec->waiting_since_ms = 0;
	admit_take(&s->admit, t->class, cost->bytes);
	return true;
}

/* Starts the next of CLASS. False: nothing can start. */
static bool dispatch_one(struct sched *s, enum sched_class class)
{
	struct queue_item *it = queue_next(&s->queue, class);
	struct admit_cost cost;
	struct sched_task *t;

	if (!it)
		return false;
	t = container_of(it, struct sched_task, item);
	if ((is_to_open(t) && !may_open(s, t->class)) ||
	    !path_allows(s, read_path(t), t->class) || !path_allows(s, write_path(t), t->class) ||
	    !take_memory(s, t, &cost))
		queue_block(&s->queue, it); /* there may be others that need less, or something else */
	else
		submit(s, t, cost);
	return true;
}

void tasks_dispatch(struct sched *s)
{
	unsigned c;

	s->paced_until_ms = -1;
	queue_unblock_all(&s->queue);
	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		while (dispatch_one(s, c))
			;
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
	struct net_endpoint *e = (r->source_failed && t->read) || !t->write ? t->read : t->write;
	struct retry_policy policy = s->retry;
	int64_t delay_ms, budget_ms = 0;

	if (e && !s->config.no_network_monitor)
		policy.base_ms = (int64_t)((double)policy.base_ms /
					   net_band_factor(net_path_band(&e->paths[e == t->read ? SCHED_READ : SCHED_WRITE])));
	delay_ms = retry_delay_ms(&policy, t->attempts, r->retry_after_ms, retry_random(&s->random));
	if (e)
		budget_ms = net_budget_take_ms(&e->budget, s->now_ms * 1000);
	if (budget_ms > policy.cap_ms)
		budget_ms = policy.cap_ms;
	if (delay_ms < budget_ms)
		delay_ms = budget_ms;

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

static void measure(struct sched *s, struct sched_task *t, const struct s3_request *r)
{
	const struct s3_result *res = &r->result;
	struct net_sample sample = {
		.now_us = s->now_ms * 1000,
		.duration_us = res->finished_us - res->started_us,
		.error = res->error,
		.is_transfer = is_transfer(r->op),
	};

	if (t->read) {
		/* Of a relay, what was measured of the connection is its other side's. */
		sample.bytes = res->received_bytes;
		sample.rtt_us = t->write ? 0 : res->rtt_us;
		sample.first_byte_us = res->first_byte_us ? res->first_byte_us - res->started_us : 0;
		sample.on_this_side = !t->write || res->source_failed;
		net_path_end(read_path(t), t->class, &sample);
		if (res->error == S3_OK)
			net_budget_success(&t->read->budget);
	}
	if (t->write) {
		sample.bytes = res->sent_bytes;
		sample.rtt_us = res->rtt_us;
		sample.first_byte_us = 0; /* it comes behind the whole body */
		sample.on_this_side = !res->source_failed;
		net_path_end(write_path(t), t->class, &sample);
		if (res->error == S3_OK)
			net_budget_success(&t->write->budget);
	}
}

void tasks_finish(struct sched *s, struct s3_request *r)
{
	struct sched_task *t = r->user;

	assert(t->state == TASK_RUNNING && t->request == r);
	s->in_flight--;
	queue_end(&s->queue, &t->item);
	measure(s, t, r);
	if (t->memory_bytes > 0) {
		if (r->result.error == S3_OK && r->result.memory_bytes > 0) {
			profile_learn(&s->profiles, object_bytes(t), t->workers, t->memory_factor, r->result.memory_bytes);
			s->engine[t->class].relays++;
			s->engine[t->class].used_bytes += r->result.memory_bytes;
		}
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
	b->task.since_ms = s->now_ms;
	b->task.write_to = r->bucket;
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
