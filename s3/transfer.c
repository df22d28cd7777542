/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop of a transfer thread. */
#include "s3/transfer.h"

#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <utlist.h>

#include "s3/base/clock.h"
#include "s3/base/log.h"

#define TICK_MS 1000
/* With nothing to do for so long, memory that was kept for the next request goes back to the system. */
#define IDLE_TRIM_MS 5000
#define KEPT_RING_BYTES ((size_t)32 << 20)

struct transfer {
	struct transfer_config config;
	pthread_t thread;

	/* Mailbox: any thread, under the lock. */
	pthread_mutex_t lock;
	struct attempt *inbox; /* list, by prev and next */
	bool cancel_wanted;    /* some attempt has `cancelled` set */
	bool stop_wanted;
	bool is_asleep;        /* waits in curl_multi_poll, or is about to: ring */

	/* The transfer thread's. */
	CURLM *multi;
	struct attempt_env env;
	struct attempt *running;
	int64_t ticked_ms;
	int64_t busy_ms;       /* when something last ran */
	bool is_trimmed;
};

/* -------------------------------------------------------------------------------------------------- mailbox */

static void ring_doorbell(struct transfer *t, bool needed)
{
	if (needed)
		curl_multi_wakeup(t->multi);
}

void transfer_submit(struct transfer *t, struct attempt *a)
{
	bool needed;

	pthread_mutex_lock(&t->lock);
	DL_APPEND(t->inbox, a);
	needed = t->is_asleep;
	t->is_asleep = false;
	pthread_mutex_unlock(&t->lock);
	ring_doorbell(t, needed);
}

void transfer_cancel(struct transfer *t, struct attempt *a)
{
	bool needed;

	atomic_store_explicit(&a->cancelled, true, memory_order_relaxed);
	pthread_mutex_lock(&t->lock);
	t->cancel_wanted = true;
	needed = t->is_asleep;
	t->is_asleep = false;
	pthread_mutex_unlock(&t->lock);
	ring_doorbell(t, needed);
}

/* False: the thread is to end. */
static bool read_mailbox(struct transfer *t)
{
	struct attempt *inbox, *a, *tmp;
	bool cancel, stop;

	pthread_mutex_lock(&t->lock);
	inbox = t->inbox;
	t->inbox = NULL;
	cancel = t->cancel_wanted;
	t->cancel_wanted = false;
	stop = t->stop_wanted;
	pthread_mutex_unlock(&t->lock);

	DL_FOREACH_SAFE(inbox, a, tmp) {
		DL_DELETE(inbox, a);
		DL_APPEND(t->running, a);
		attempt_start(a, &t->env);
	}
	if (cancel) {
		DL_FOREACH(t->running, a) {
			if (!a->is_finished && atomic_load_explicit(&a->cancelled, memory_order_relaxed))
				attempt_cancel(a);
		}
	}
	return !stop;
}

/* ------------------------------------------------------------------------------------------------- the loop */

static void read_messages(struct transfer *t)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(t->multi, &left))) {
		CURLcode code = msg->data.result;
		struct exchange *x = NULL;

		assert(msg->msg == CURLMSG_DONE);
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &x);
		attempt_exchange_done(x->owner, x, code);
	}
}

static void run_waiting(struct transfer *t)
{
	struct attempt *a;

	while ((a = t->env.waiting)) {
		t->env.waiting = a->waiting_next;
		a->is_waiting = false;
		attempt_continue(a);
	}
}

static void deliver_finished(struct transfer *t)
{
	struct s3_request *first = NULL, *last = NULL;
	struct attempt *a;

	while ((a = t->env.finished)) {
		struct s3_request *r = a->request;

		assert(!a->is_waiting);
		t->env.finished = a->finished_next;
		DL_DELETE(t->running, a);
		/* The list was filled at its head: put together from behind, it is in order again. */
		r->next = first;
		first = r;
		if (!last)
			last = r;
	}
	if (first)
		t->config.deliver(t->config.arg, first, last);
}

static void tick(struct transfer *t)
{
	int64_t now_us = clock_monotonic_us();
	struct attempt *a;

	if (t->running)
		t->busy_ms = now_us / 1000;
	if (now_us / 1000 - t->ticked_ms < TICK_MS)
		return;
	t->ticked_ms = now_us / 1000;
	DL_FOREACH(t->running, a) {
		if (!a->is_finished)
			attempt_tick(a, now_us);
	}
	if (t->running) {
		t->is_trimmed = false;
	} else if (!t->is_trimmed && t->ticked_ms - t->busy_ms >= IDLE_TRIM_MS) {
		t->is_trimmed = true;
		ring_pool_trim(&t->env.rings);
		malloc_trim(0);
	}
}

static void wait_for_work(struct transfer *t)
{
	bool sleep;
	CURLMcode code;

	if (t->env.exchanges.ready)
		return;
	pthread_mutex_lock(&t->lock);
	sleep = !t->inbox && !t->cancel_wanted && !t->stop_wanted;
	t->is_asleep = sleep;
	pthread_mutex_unlock(&t->lock);
	if (!sleep)
		return;
	code = curl_multi_poll(t->multi, NULL, 0, t->running || !t->is_trimmed ? TICK_MS : INT32_MAX, NULL);
	pthread_mutex_lock(&t->lock);
	t->is_asleep = false;
	pthread_mutex_unlock(&t->lock);
	if (code != CURLM_OK)
		log_error("waiting for the network failed: %s", curl_multi_strerror(code));
}

static void *transfer_main(void *arg)
{
	struct transfer *t = arg;
	int running;

	while (read_mailbox(t)) {
		t->env.exchanges.ready = false;
		curl_multi_perform(t->multi, &running);
		read_messages(t);
		tick(t);
		run_waiting(t);
		deliver_finished(t);
		wait_for_work(t);
	}
	assert(!t->running);
	return NULL;
}

/* --------------------------------------------------------------------------------------------- life and death */

static int start_thread(struct transfer *t)
{
	sigset_t all, before;
	int rc;

	/* Signals are for the threads that expect them; and SIGPIPE, which OpenSSL's writes raise, is for none. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&t->thread, NULL, transfer_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

struct transfer *transfer_new(const struct transfer_config *config)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->config = *config;
	pthread_mutex_init(&t->lock, NULL);
	t->is_trimmed = true;
	t->multi = curl_multi_init();
	if (!t->multi)
		goto fail;
	curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)config->max_connections);
	t->env.stall_timeout_ms = config->stall_timeout_ms;
	ring_pool_init(&t->env.rings, KEPT_RING_BYTES);
	t->env.exchanges = (struct exchange_pool){
		.multi = t->multi,
		.share = config->share,
		.user_agent = config->user_agent,
		.connect_timeout_ms = config->connect_timeout_ms,
	};
	/* A relay has two. */
	if (exchange_pool_init(&t->env.exchanges, 2 * (size_t)config->max_connections) < 0)
		goto fail;
	if (start_thread(t) != 0)
		goto fail;
	return t;

fail:
	exchange_pool_clear(&t->env.exchanges);
	curl_multi_cleanup(t->multi);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	assert(!t->inbox);
	t->stop_wanted = true;
	pthread_mutex_unlock(&t->lock);
	curl_multi_wakeup(t->multi);
	pthread_join(t->thread, NULL);
	exchange_pool_clear(&t->env.exchanges);
	curl_multi_cleanup(t->multi);
	ring_pool_trim(&t->env.rings);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
