/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scheduler thread: mailbox, timers, dispatch, finished requests; and what other threads may call. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "s3/base/clock.h"
#include "s3/base/log.h"
#include "sched/internal.h"
#include "sched/task.h"
#include "sched/xalloc.h"

#define CHUNK_WORKERS_DEFAULT 8
#define FINISHED_MAX 64        /* taken from the backend at once */
#define STOP_GRACE_MS 5000     /* for completions and aborts that are on their way when the scheduler stops */

#ifndef NDEBUG
void sched_assert_thread(struct sched *s)
{
	if (!s->owned) {
		s->owned = true;
		s->owner = pthread_self();
	}
	assert(pthread_equal(s->owner, pthread_self()));
}
#endif

static void publish(struct sched *s);

struct sched *sched_new(const struct sched_config *config, struct s3_backend *backend)
{
	struct sched *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->backend = backend;
	s->memory = sched_memory_new(config->memory_limit_bytes);
	if (!s->memory)
		goto fail;
	if (mailbox_init(&s->mailbox) < 0)
		goto fail;
	if (pthread_mutex_init(&s->published_lock, NULL) != 0)
		goto fail_mailbox;
	s->order = order_new();
	retry_policy_init(&s->retry, config->retry_max, config->retry_base_ms, config->retry_cap_ms);
	s->config = *config;
	s->chunk_workers = config->chunk_workers ? config->chunk_workers : CHUNK_WORKERS_DEFAULT;
	if (config->no_streaming_optimizer)
		s->chunk_workers = 1;
	s->part_size_bytes = config->part_size_bytes;
	s->random = config->seed ? config->seed : (uint64_t)clock_monotonic_us();
	queue_init(&s->queue, config);
	s->net.is_controlled = !config->no_network_monitor;
	s->paced_until_ms = -1;
	admit_init(&s->admit, sched_memory_share(s->memory, SCHED_MEMORY_RELAY), config->no_dynamic_memory,
		   !config->no_priority_queues);
	profiles_init(&s->profiles);
	if (config->memory_profiles && !profiles_load(&s->profiles, config->memory_profiles))
		log_warn("what was learned about memory cannot be read: learning it again");
	atomic_init(&s->next_id, 1);
	s->now_ms = backend->ops->now_ms(backend);
	publish(s); /* who asks before the first turn has ended shall not read that every part is off */
	return s;

fail_mailbox:
	mailbox_destroy(&s->mailbox);
fail:
	sched_memory_free(s->memory);
	free(s);
	return NULL;
}

struct sched_memory *sched_memory_of(struct sched *s)
{
	return s->memory;
}

int64_t sched_now_ms(struct sched *s)
{
	return s->backend->ops->now_ms(s->backend);
}

void sched_post(struct sched *s, struct message *m)
{
	if (mailbox_push(&s->mailbox, m))
		s->backend->ops->wake(s->backend);
}

uint64_t sched_new_id(struct sched *s)
{
	return atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed);
}

void handle_add(struct sched *s, struct handle *h)
{
	HASH_ADD(hh, s->handles, id, sizeof(h->id), h);
}

void handle_remove(struct sched *s, struct handle *h)
{
	HASH_DEL(s->handles, h);
}

/* ---------------------------------------------------------------------------------------------------- cancel */

struct cancel_message {
	struct message message;
	uint64_t id;
};

static void cancel_run(struct sched *s, struct message *m)
{
	struct cancel_message *cm = container_of(m, struct cancel_message, message);
	struct handle *h;

	HASH_FIND(hh, s->handles, &cm->id, sizeof(cm->id), h);
	if (h)
		h->cancel(s, h);
	free(cm);
}

void sched_cancel(struct sched *s, uint64_t id)
{
	struct cancel_message *cm = xcalloc(1, sizeof(*cm));

	cm->message.run = cancel_run;
	cm->id = id;
	sched_post(s, &cm->message);
}

/* ------------------------------------------------------------------------------------------------------ loop */

static void publish(struct sched *s)
{
	unsigned c;

	for (c = 0; c < SCHED_CLASS__COUNT; c++) {
		s->stats.queued[c] = queue_length(&s->queue, c);
		s->stats.running[c] = s->queue.classes[c].running;
		s->stats.slots[c] = queue_slots(&s->queue, c);
	}
	pthread_mutex_lock(&s->published_lock);
	s->published = s->stats;
	engine_publish(s);
	pthread_mutex_unlock(&s->published_lock);
}

void sched_stats(struct sched *s, struct sched_stats *out)
{
	pthread_mutex_lock(&s->published_lock);
	*out = s->published;
	pthread_mutex_unlock(&s->published_lock);
}

static void read_mail(struct sched *s)
{
	struct message *m, *next;

	for (m = mailbox_take(&s->mailbox); m; m = next) {
		next = m->next; /* run() owns the record */
		m->run(s, m);
	}
}

/* Everything that can be decided without the network. A callback may make more of it. */
static void decide(struct sched *s)
{
	s->now_ms = s->backend->ops->now_ms(s->backend);
	read_mail(s);
	delays_expire(s);
	tasks_expire(s);
	do {
		jobs_run(s);
	} while (tasks_end(s) || s->runnable_first);
	tasks_dispatch(s);
}

static bool is_busy(const struct sched *s)
{
	return s->jobs || s->clients || s->background || s->in_flight > 0 || s->timers.count > 0 || s->ended;
}

void sched_on_busy(struct sched *s, sched_timer_fn fn, void *arg)
{
	assert(!s->busy_fn || s->busy_fn == fn);
	s->busy_fn = fn;
	s->busy_arg = arg;
}

static void tell_busy(struct sched *s)
{
	sched_timer_fn fn = s->busy_fn;

	if (!fn || s->stopping || !is_busy(s))
		return;
	s->busy_fn = NULL;
	fn(s->busy_arg);
}

/* Of two waits, where -1 is for ever. */
static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
	if (a_ms < 0 || b_ms < 0)
		return a_ms < 0 ? b_ms : a_ms;
	return a_ms < b_ms ? a_ms : b_ms;
}

bool sched_step(struct sched *s, int64_t timeout_ms)
{
	struct s3_request *done[FINISHED_MAX];
	size_t n;

	sched_assert_thread(s);
	decide(s);
	tell_busy(s); /* who is told reads what was before the work */
	publish(s);   /* what has just started is seen while it runs, not when something ends */
	timeout_ms = sooner(timeout_ms, sooner(tasks_next_ms(s), delays_next_ms(s)));
	if (s->paced_until_ms >= 0)
		timeout_ms = sooner(timeout_ms, s->paced_until_ms > s->now_ms ? s->paced_until_ms - s->now_ms : 0);
	if (s->stopping && !is_busy(s))
		timeout_ms = 0; /* the end came in this turn's mail: nothing else will wake us */
	n = s->backend->ops->poll(s->backend, done, FINISHED_MAX, timeout_ms);
	if (n > 0) {
		s->now_ms = s->backend->ops->now_ms(s->backend);
		tasks_finish(s, done, n);
		decide(s);
		publish(s);
	}
	return is_busy(s);
}

/* ---------------------------------------------------------------------------------------------- start and end */

struct stop_message {
	struct message message;
};

static void stop_run(struct sched *s, struct message *m)
{
	free(container_of(m, struct stop_message, message));
	s->stopping = true;
	s->stop_deadline_ms = s->backend->ops->now_ms(s->backend) + STOP_GRACE_MS;
	delays_drop_all(s);
	clients_cancel_all(s);
	jobs_cancel_all(s);
	uploads_stop_all(s);
}

/* Until nothing is left, callbacks included. */
static void run_down(struct sched *s)
{
	bool late = false;

	while (is_busy(s) || !mailbox_is_empty(&s->mailbox)) {
		sched_step(s, late ? -1 : STOP_GRACE_MS / 10);
		if (!late && s->backend->ops->now_ms(s->backend) >= s->stop_deadline_ms) {
			late = true;
			uploads_cancel_control(s);
			tasks_background_cancel(s);
		}
	}
}

static void *thread_main(void *arg)
{
	struct sched *s = arg;

	while (!s->stopping)
		sched_step(s, -1);
	run_down(s);
	return NULL;
}

int sched_start(struct sched *s)
{
	int err = pthread_create(&s->thread, NULL, thread_main, s);

	if (err == 0)
		s->started = true;
	return -err;
}

static void post_stop(struct sched *s)
{
	struct stop_message *sm = xcalloc(1, sizeof(*sm));

	sm->message.run = stop_run;
	sched_post(s, &sm->message);
}

void sched_stop(struct sched *s)
{
	if (s->finished)
		return;
	post_stop(s);
	if (s->started) {
		pthread_join(s->thread, NULL);
	} else {
		while (!s->stopping)
			sched_step(s, 0);
		run_down(s);
	}
	s->owned = false; /* what is left is for the thread that frees */
	s->finished = true;
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	sched_stop(s);
	/* What was said after the end is answered here: changes as cancelled, uploads given back. */
	s->stop_deadline_ms = 0;
	run_down(s);
	assert(!s->uploads && !s->handles);
	heap_clear(&s->timers);
	heap_clear(&s->delays);
	queue_clear(&s->queue);
	net_clear(&s->net);
	order_free(s->order);
	pthread_mutex_destroy(&s->published_lock);
	mailbox_destroy(&s->mailbox);
	sched_memory_free(s->memory);
	free(s);
}
