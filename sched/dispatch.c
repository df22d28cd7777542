/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the queue to the backend. */
#include "sched/dispatch.h"

#include "sched/hedge.h"

/* How many parts of a class should be able to run side by side: objects are opened until so many can. More of them would
 * only all end late. */
static const unsigned parts_wanted[SCHED_CLASS__COUNT] = {
	[SCHED_INTERACTIVE] = 64,
	[SCHED_HIGH] = 64,
	[SCHED_MEDIUM] = 128, /* they have few parts each */
	[SCHED_LOW] = 32,
};

/* One that is tried again is counted among the open ones already. */
bool task_is_to_open(const struct sched_task *t)
{
	return t->opens_object && t->attempts == 0;
}

static bool may_open(const struct sched *s, enum sched_class class)
{
	unsigned most = (parts_wanted[class] + s->chunk_workers - 1) / s->chunk_workers;

	return s->config.no_priority_queues || s->open_uploads[class] < (most < 4 ? 4 : most);
}

bool task_is_transfer(enum s3_op op)
{
	return op == S3_OP_GET || op == S3_OP_HEAD || op == S3_OP_LIST || op == S3_OP_PUT || op == S3_OP_UPLOAD_PART;
}

/* ---------------------------------------------------------------------------------------------------- memory */

struct admit_cost task_cost(struct sched *s, struct sched_task *t)
{
	bool is_adapted = t->write && !s->config.no_network_monitor;

	t->memory_factor = is_adapted ? net_band_factor(net_path_band(task_write_path(t))) : 1;
	return admit_estimate(&s->admit, t->relay_bytes, t->body_bytes,
			      profile_estimate(&s->profiles, task_object_bytes(t), t->workers, t->memory_factor));
}

bool task_take_memory(struct sched *s, const struct sched_task *t, struct admit_cost cost)
{
	if (cost.bytes == 0)
		return true;
	if (!admit_allowed(&s->admit, t->line, cost.bytes) ||
	    !sched_memory_try(s->memory, SCHED_MEMORY_RELAY, cost.bytes))
		return false;
	admit_take(&s->admit, t->line, cost.bytes);
	return true;
}

void task_give_memory(struct sched *s, const struct sched_task *t, uint64_t bytes)
{
	if (bytes == 0)
		return;
	admit_give(&s->admit, t->line, bytes);
	sched_memory_release(s->memory, SCHED_MEMORY_RELAY, bytes);
}

/* For the first request of an attempt; keeps the time that the class waits. */
static bool wait_for_memory(struct sched *s, const struct sched_task *t, struct admit_cost cost)
{
	struct engine_class *ec = &s->engine[t->class];

	if (!task_take_memory(s, t, cost)) {
		if (!ec->waiting_since_ms) {
			ec->waiting_since_ms = s->now_ms;
			ec->waits++;
		}
		return false;
	}
	if (ec->waiting_since_ms && cost.bytes > 0) {
		ec->waited_ms += (uint64_t)(s->now_ms - ec->waiting_since_ms);
		ec->waiting_since_ms = 0;
	}
	return true;
}

/* ------------------------------------------------------------------------------------------------------ send */

static unsigned try_index(const struct sched_task *t, const struct s3_request *r)
{
	return r != t->request;
}

void task_send(struct sched *s, struct sched_task *t, struct s3_request *r, uint64_t bytes)
{
	if (t->read)
		net_path_start(task_read_path(t), t->line, s->now_ms * 1000);
	if (t->write)
		net_path_start(task_write_path(t), t->line, s->now_ms * 1000);
	r->user = t;
	t->tries[try_index(t, r)] = (struct task_try){.memory_bytes = bytes, .is_out = true};
	t->unsettled++;
	s->stats.requests[r->op]++;
	s->in_flight++;
	s->backend->ops->submit(s->backend, r);
}

void task_cancel_try(struct sched *s, struct sched_task *t, struct s3_request *r)
{
	struct task_try *y = &t->tries[try_index(t, r)];

	if (!y->is_out || y->is_cancelled)
		return;
	y->is_cancelled = true;
	s->backend->ops->cancel(s->backend, r);
}

/* What was learned of reading bounds the wait for the first byte; of a stall, the side that is waited for longer. Where
 * nothing is known of a side the client's default holds. */
static void set_timeouts(const struct sched *s, const struct sched_task *t)
{
	struct s3_request *r = t->request;
	int64_t read_ms = t->read ? net_path_stall_ms(task_read_path(t), t->attempts) : 0;
	int64_t write_ms = t->write ? net_path_stall_ms(task_write_path(t), t->attempts) : 0;

	r->stall_timeout_ms = r->first_byte_timeout_ms = 0;
	if (s->config.no_streaming_optimizer || !task_is_transfer(r->op))
		return;
	if ((!t->read || read_ms) && (!t->write || write_ms))
		r->stall_timeout_ms = read_ms > write_ms ? read_ms : write_ms;
	if (t->read && r->op != S3_OP_LIST) /* some take the server much longer than others */
		r->first_byte_timeout_ms = late_first_byte_ms(&task_read_path(t)->late, t->timeouts);
}

static void submit(struct sched *s, struct sched_task *t, struct admit_cost cost)
{
	queue_start(&s->queue, &t->item);
	if (!t->request)
		t->request = t->build(t);
	set_timeouts(s, t);
	if (cost.ring_bytes)
		t->request->ring_bytes = cost.ring_bytes;
	t->state = TASK_RUNNING;
	t->attempts++;
	hedge_arm(s, t);
	task_send(s, t, t->request, cost.bytes);
}

/* -------------------------------------------------------------------------------------------------- dispatch */

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

/* Starts the next of CLASS. False: nothing can start. */
static bool dispatch_one(struct sched *s, enum sched_class class)
{
	struct queue_item *it = queue_next(&s->queue, class);
	struct admit_cost cost;
	struct sched_task *t;

	if (!it)
		return false;
	t = container_of(it, struct sched_task, item);
	cost = task_cost(s, t);
	if ((task_is_to_open(t) && !may_open(s, t->class)) ||
	    !path_allows(s, task_read_path(t), t->line) || !path_allows(s, task_write_path(t), t->line) ||
	    !wait_for_memory(s, t, cost))
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
