/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks: from the queue to the backend and back, with retries. */
#include "sched/task.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "s3/base/log.h"
#include "sched/dispatch.h"
#include "sched/hedge.h"
#include "sched/xalloc.h"

#define BACKGROUND_RETRY_MAX 5
#define ANSWER_BODY_MAX_BYTES 131072 /* a longer one takes time of its own */
#define CANCELLED_TEXT "it was cancelled"

static struct net_endpoint *endpoint_of(struct sched *s, const struct s3_bucket *b)
{
	return b ? net_endpoint(&s->net, s3_bucket_endpoint(b), s->now_ms * 1000) : NULL;
}

static void enqueue(struct sched *s, struct sched_task *t)
{
	struct queue_route route = {.need = t->relay_bytes ? QUEUE_RELAY : QUEUE_PLAIN};

	if (task_is_to_open(t))
		route.need = QUEUE_OPEN;
	t->read = endpoint_of(s, t->read_from);
	t->write = endpoint_of(s, t->write_to);
	route.read = t->read;
	route.write = t->write;
	t->line = s->config.no_priority_queues ? SCHED_LOW : t->class;
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
	t->attempts = t->timeouts = 0;
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
		task_cancel_try(s, t, t->request);
		if (t->hedge)
			task_cancel_try(s, t, t->hedge);
		break;
	case TASK_IDLE:
	case TASK_ENDED:
		break;
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

/* Was R's server to answer, and nothing came before it was given up? */
static bool has_waited_in_vain(const struct sched_task *t, const struct s3_request *r)
{
	const struct s3_result *res = &r->result;

	return t->read && res->error == S3_ERR_TIMEOUT && res->first_byte_us == 0 && (!t->write || res->source_failed);
}

static void learn_late(struct sched *s, struct sched_task *t, const struct s3_request *r)
{
	const struct s3_result *res = &r->result;
	struct late *l = &task_read_path(t)->late;
	int64_t waited_us = res->finished_us - res->started_us;

	if (has_waited_in_vain(t, r)) {
		t->timeouts++;
		late_learn_timeout(l, res->started_us, res->finished_us);
	} else if (res->error == S3_ERR_CANCELLED && !t->cancelled && res->first_byte_us == 0 && r == t->request && t->hedge) {
		late_learn_outrun(l, task_late_kind(r->op), waited_us);
	} else if (res->error == S3_OK && res->first_byte_us && task_is_transfer(r->op)) {
		late_learn(l, task_late_kind(r->op), res->first_byte_us - res->started_us);
	}
}

/* The part of a request's time that tells how far the server is. 0: none does. */
static int64_t read_answer_us(const struct s3_result *res)
{
	return res->error == S3_OK && res->first_byte_us > res->started_us ? res->first_byte_us - res->started_us : 0;
}

/* A PUT is answered when all of its body is there, and a relay's begins when its source does. */
static int64_t write_answer_us(const struct s3_request *r, bool is_relay)
{
	const struct s3_result *res = &r->result;

	if (res->error != S3_OK || r->op != S3_OP_PUT || res->sent_bytes > ANSWER_BODY_MAX_BYTES)
		return 0;
	return res->finished_us - (is_relay && res->first_byte_us ? res->first_byte_us : res->started_us);
}

static void measure(struct sched *s, struct sched_task *t, const struct s3_request *r)
{
	const struct s3_result *res = &r->result;
	struct net_sample sample = {
		.now_us = s->now_ms * 1000,
		.duration_us = res->finished_us - res->started_us,
		.error = res->error,
		.is_transfer = task_is_transfer(r->op),
	};

	if (t->read) {
		/* Of a relay, what was measured of the connection is its other side's. */
		sample.bytes = res->received_bytes;
		sample.rtt_us = t->write ? 0 : res->rtt_us;
		sample.first_byte_us = res->first_byte_us ? res->first_byte_us - res->started_us : 0;
		sample.answer_us = read_answer_us(res);
		sample.on_this_side = !t->write || res->source_failed;
		net_path_answered(&t->read->paths[SCHED_WRITE], sample.answer_us, sample.now_us);
		net_path_end(task_read_path(t), t->line, &sample);
		learn_late(s, t, r);
		if (res->error == S3_OK)
			net_budget_success(&t->read->budget);
	}
	if (t->write) {
		sample.bytes = res->sent_bytes;
		sample.rtt_us = res->rtt_us;
		sample.first_byte_us = 0; /* it comes behind the whole body */
		sample.answer_us = write_answer_us(r, t->read != NULL);
		sample.on_this_side = !res->source_failed;
		net_path_end(task_write_path(t), t->line, &sample);
		if (res->error == S3_OK)
			net_budget_success(&t->write->budget);
	}
}

static void give_memory_back(struct sched *s, struct sched_task *t, const struct s3_request *r)
{
	struct task_try *y = &t->tries[r != t->request];

	if (y->memory_bytes > 0 && r->result.error == S3_OK && r->result.memory_bytes > 0) {
		profile_learn(&s->profiles, task_object_bytes(t), t->workers, t->memory_factor, r->result.memory_bytes);
		s->engine[t->class].relays++;
		s->engine[t->class].used_bytes += r->result.memory_bytes;
	}
	task_give_memory(s, t, y->memory_bytes);
	y->memory_bytes = 0;
}

static void finish_one(struct sched *s, struct sched_task *t, struct s3_request *r)
{
	assert(t->state == TASK_RUNNING && (t->request == r || t->hedge == r) && t->unsettled > 0);
	s->in_flight--;
	t->unsettled--;
	measure(s, t, r);
	give_memory_back(s, t, r);
	if (r->result.error == S3_ERR_THROTTLED)
		s->stats.throttled++;
	if (!hedge_settle(s, t, r))
		return;
	r = t->request;
	queue_end(&s->queue, &t->item);
	if (t->cancelled && r->result.error != S3_OK)
		set_cancelled(r); /* whatever it was that came first */
	if (r->result.error != S3_OK && try_again(s, t))
		back_off(s, t);
	else
		finish(s, t, &r->result);
}

void tasks_finish(struct sched *s, struct s3_request *const *done, size_t count)
{
	size_t i;

	/* First, so that what one of them leads to does not cancel another that has ended, too. */
	for (i = 0; i < count; i++) {
		struct sched_task *t = done[i]->user;

		t->tries[done[i] != t->request].is_out = false;
	}
	for (i = 0; i < count; i++)
		finish_one(s, done[i]->user, done[i]);
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
		struct sched_task *t = container_of(n, struct sched_task, timer);

		heap_remove(&s->timers, n);
		if (t->state == TASK_RUNNING)
			hedge_expire(s, t);
		else
			enqueue(s, t);
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
