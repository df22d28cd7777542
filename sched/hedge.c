/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hedges: when one is sent, and who has won. */
#include "sched/hedge.h"

#include <assert.h>

#include "s3/base/log.h"
#include "sched/dispatch.h"
#include "sched/xalloc.h"

static bool can_be_hedged(const struct sched *s, const struct sched_task *t)
{
	enum s3_op op = t->request->op;

	if (s->config.no_streaming_optimizer || s->stopping || !t->is_awaited || !t->read)
		return false;
	return op == S3_OP_HEAD || op == S3_OP_GET || op == S3_OP_LIST ||
	       (t->relay_bytes > 0 && (op == S3_OP_PUT || op == S3_OP_UPLOAD_PART));
}

static void set_timer(struct sched *s, struct sched_task *t)
{
	int64_t ms = late_hedge_ms(&task_read_path(t)->late, task_late_kind(t->request->op));

	if (ms > 0)
		heap_push(&s->timers, &t->timer, (uint64_t)(s->now_ms + ms));
}

void hedge_arm(struct sched *s, struct sched_task *t)
{
	t->winner = NULL;
	atomic_store_explicit(&t->race, NULL, memory_order_relaxed);
	t->request->race = NULL;
	if (!can_be_hedged(s, t))
		return;
	t->request->race = &t->race;
	set_timer(s, t);
}

static bool paths_have_room(const struct sched *s, const struct sched_task *t)
{
	int64_t now_us = s->now_ms * 1000;

	return net_path_has_room(task_read_path(t), now_us) &&
	       (!t->write || net_path_has_room(task_write_path(t), now_us)) && queue_has_slot(&s->queue, t->class);
}

static void send(struct sched *s, struct sched_task *t)
{
	struct admit_cost cost = task_cost(s, t);

	if ((cost.bytes > 0 && s->engine[t->class].waiting_since_ms) || !task_take_memory(s, t, cost))
		return;
	if (!late_take_hedge(&task_read_path(t)->late)) {
		task_give_memory(s, t, cost.bytes);
		return;
	}
	t->hedge = xalloc_check(s3_request_clone(t->request));
	if (cost.ring_bytes)
		t->hedge->ring_bytes = cost.ring_bytes;
	log_debug("%s %s: no answer yet, so it is sent twice", s3_op_name(t->hedge->op), t->hedge->key ? t->hedge->key : "");
	s->stats.hedged++;
	task_send(s, t, t->hedge, cost.bytes);
}

void hedge_expire(struct sched *s, struct sched_task *t)
{
	assert(t->state == TASK_RUNNING && !t->hedge);
	if (atomic_load(&t->race) || t->cancelled || !can_be_hedged(s, t))
		return; /* its bytes are coming */
	if (t->is_awaited(t) && paths_have_room(s, t))
		send(s, t);
	if (!t->hedge)
		set_timer(s, t);
}

/* Would another attempt say the same? */
static bool is_answer(enum s3_error e)
{
	return e == S3_OK || e == S3_ERR_NOT_FOUND || e == S3_ERR_PRECONDITION || e == S3_ERR_RANGE;
}

static void take_result_of_hedge(struct sched *s, struct sched_task *t)
{
	struct s3_request *r = t->request, *h = t->hedge;
	struct s3_result result = r->result;

	r->result = h->result;
	h->result = result;
	r->delivered_bytes = h->delivered_bytes;
	if (is_answer(r->result.error))
		s->stats.hedges_won++;
}

bool hedge_settle(struct sched *s, struct sched_task *t, struct s3_request *r)
{
	struct s3_request *other = r == t->request ? t->hedge : t->request;

	/* An answer without bytes takes the race, too: the other must not begin behind it. */
	if (!t->winner && (atomic_load(&t->race) == r || (is_answer(r->result.error) && s3_request_wins(r))))
		t->winner = r;
	if (t->unsettled > 0) {
		if (t->winner)
			task_cancel_try(s, t, other);
		return false;
	}
	if (heap_contains(&t->timer))
		heap_remove(&s->timers, &t->timer);
	t->request->race = NULL;
	if (t->hedge && t->winner == t->hedge)
		take_result_of_hedge(s, t);
	s3_request_free(t->hedge);
	t->hedge = NULL;
	return true;
}
