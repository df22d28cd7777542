/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sched_after: somebody else's timers, on the scheduler thread. */
#include <stdlib.h>

#include "sched/internal.h"
#include "sched/xalloc.h"

struct delay {
	struct message message;
	struct handle handle;
	struct heap_node timer;
	int64_t delay_ms;
	sched_timer_fn fn;
	void *arg;
};

static void delay_free(struct sched *s, struct delay *d)
{
	handle_remove(s, &d->handle);
	free(d);
}

static void delay_cancel(struct sched *s, struct handle *h)
{
	struct delay *d = container_of(h, struct delay, handle);

	heap_remove(&s->delays, &d->timer);
	delay_free(s, d);
}

static void delay_run(struct sched *s, struct message *m)
{
	struct delay *d = container_of(m, struct delay, message);

	if (s->stopping) {
		free(d);
		return;
	}
	if (d->delay_ms <= 0) {
		d->fn(d->arg);
		free(d);
		return;
	}
	handle_add(s, &d->handle);
	heap_push(&s->delays, &d->timer, (uint64_t)(s->now_ms + d->delay_ms));
}

uint64_t sched_after(struct sched *s, int64_t delay_ms, sched_timer_fn fn, void *arg)
{
	struct delay *d = xcalloc(1, sizeof(*d));
	uint64_t id = sched_new_id(s);

	d->message.run = delay_run;
	d->handle.id = id;
	d->handle.cancel = delay_cancel;
	d->delay_ms = delay_ms;
	d->fn = fn;
	d->arg = arg;
	sched_post(s, &d->message);
	return id;
}

void delays_expire(struct sched *s)
{
	struct heap_node *n;

	while ((n = heap_first(&s->delays)) && n->key <= (uint64_t)s->now_ms) {
		struct delay *d = container_of(n, struct delay, timer);
		sched_timer_fn fn = d->fn;
		void *arg = d->arg;

		heap_remove(&s->delays, n);
		delay_free(s, d);
		fn(arg);
	}
}

int64_t delays_next_ms(const struct sched *s)
{
	const struct heap_node *n = heap_first(&s->delays);

	if (!n)
		return -1;
	return n->key > (uint64_t)s->now_ms ? (int64_t)(n->key - (uint64_t)s->now_ms) : 0;
}

void delays_drop_all(struct sched *s)
{
	struct heap_node *n;

	while ((n = heap_first(&s->delays)))
		delay_cancel(s, &container_of(n, struct delay, timer)->handle);
}
