/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backend that talks to real servers: spreads requests over transfer threads and collects what they finish. */
#include "s3/s3.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "s3/attempt.h"
#include "s3/base/clock.h"
#include "s3/exchange.h"
#include "s3/transfer.h"

#ifdef PACKAGE_VERSION /* by configure */
#define USER_AGENT "s3bridge/" PACKAGE_VERSION
#else
#define USER_AGENT "s3bridge"
#endif

#define MAX_THREADS 64
#define DEFAULT_MAX_THREADS 4
#define DEFAULT_CONNECTIONS 512 /* as many relays as a path may have on a long link, or half as many: each takes two */
#define WANTED_FILES 4096
#define DEFAULT_CONNECT_TIMEOUT_MS 10000
#define DEFAULT_STALL_TIMEOUT_MS 60000
#define KEPT_ATTEMPTS 1024

/* One request in flight. Made and freed on the scheduler thread, so that cancel() never meets a freed one. */
struct flight {
	struct attempt attempt; /* first: the transfer thread knows only this */
	unsigned thread;
	struct flight *next;    /* while kept for later */
};

struct client {
	struct s3_backend backend; /* first */
	char *user_agent;
	CURLSH *share;
	pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST]; /* libcurl may hold several at once */
	struct transfer *threads[MAX_THREADS];
	unsigned thread_count;

	/* The scheduler thread's. */
	unsigned load[MAX_THREADS]; /* requests in flight on each */
	unsigned in_flight;
	struct flight *kept;
	unsigned kept_count;

	/* Any thread, under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct s3_request *done_first, *done_last;
	bool wake_wanted;
};

static struct client *client_of(struct s3_backend *be)
{
	return (struct client *)be;
}

/* ------------------------------------------------------------------------------------------ finished requests */

static void deliver(void *arg, struct s3_request *first, struct s3_request *last)
{
	struct client *c = arg;

	last->next = NULL;
	pthread_mutex_lock(&c->lock);
	if (c->done_last)
		c->done_last->next = first;
	else
		c->done_first = first;
	c->done_last = last;
	pthread_cond_signal(&c->news);
	pthread_mutex_unlock(&c->lock);
}

static void client_wake(struct s3_backend *be)
{
	struct client *c = client_of(be);

	pthread_mutex_lock(&c->lock);
	c->wake_wanted = true;
	pthread_cond_signal(&c->news);
	pthread_mutex_unlock(&c->lock);
}

static void wait_for_news_locked(struct client *c, int64_t timeout_ms)
{
	int64_t until_us = clock_monotonic_us() + timeout_ms * 1000;
	struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
	int rc = 0;

	while (!c->done_first && !c->wake_wanted && rc == 0) {
		if (timeout_ms < 0)
			pthread_cond_wait(&c->news, &c->lock);
		else
			rc = pthread_cond_timedwait(&c->news, &c->lock, &until);
	}
}

/* ---------------------------------------------------------------------------------------- scheduler's thread */

static struct flight *new_flight(struct client *c, struct s3_request *r)
{
	struct flight *f = c->kept;

	if (f) {
		c->kept = f->next;
		c->kept_count--;
		memset(f, 0, sizeof(*f));
	} else {
		f = calloc(1, sizeof(*f));
		if (!f)
			return NULL;
	}
	f->attempt.request = r;
	r->backend_private = f;
	return f;
}

static void free_flight(struct client *c, struct flight *f)
{
	if (c->kept_count >= KEPT_ATTEMPTS) {
		free(f);
		return;
	}
	f->next = c->kept;
	c->kept = f;
	c->kept_count++;
}

static void client_submit(struct s3_backend *be, struct s3_request *r)
{
	struct client *c = client_of(be);
	struct flight *f;
	unsigned least = 0;

	assert(r->bucket && !r->backend_private);
	c->in_flight++;
	f = new_flight(c, r);
	if (!f) {
		exchange_result_fail(r, S3_ERR_NO_MEMORY, NULL);
		deliver(c, r, r);
		return;
	}
	for (unsigned i = 1; i < c->thread_count; i++)
		if (c->load[i] < c->load[least])
			least = i;
	f->thread = least;
	c->load[least]++;
	transfer_submit(c->threads[least], &f->attempt);
}

static void client_cancel(struct s3_backend *be, struct s3_request *r)
{
	struct client *c = client_of(be);
	struct flight *f = r->backend_private;

	if (f)
		transfer_cancel(c->threads[f->thread], &f->attempt);
}

static void land(struct client *c, struct s3_request *r)
{
	struct flight *f = r->backend_private;

	assert(c->in_flight > 0);
	c->in_flight--;
	r->next = NULL;
	r->backend_private = NULL;
	if (f) {
		c->load[f->thread]--;
		free_flight(c, f);
	}
}

static size_t client_poll(struct s3_backend *be, struct s3_request **done, size_t max, int64_t timeout_ms)
{
	struct client *c = client_of(be);
	size_t count = 0;

	pthread_mutex_lock(&c->lock);
	if (timeout_ms != 0)
		wait_for_news_locked(c, timeout_ms);
	c->wake_wanted = false;
	while (count < max && c->done_first) {
		done[count++] = c->done_first;
		c->done_first = c->done_first->next;
	}
	if (!c->done_first)
		c->done_last = NULL;
	pthread_mutex_unlock(&c->lock);

	for (size_t i = 0; i < count; i++)
		land(c, done[i]);
	return count;
}

static int64_t client_now_ms(struct s3_backend *be)
{
	return clock_monotonic_ms();
}

/* -------------------------------------------------------------------------------------------- life and death */

static void lock_share(CURL *easy, curl_lock_data data, curl_lock_access access, void *arg)
{
	struct client *c = arg;

	pthread_mutex_lock(&c->share_locks[data]);
}

static void unlock_share(CURL *easy, curl_lock_data data, void *arg)
{
	struct client *c = arg;

	pthread_mutex_unlock(&c->share_locks[data]);
}

/* A TLS session that one thread has negotiated saves the others half a handshake. */
static CURLSH *new_share(struct client *c)
{
	CURLSH *share = curl_share_init();

	if (!share)
		return NULL;
	curl_share_setopt(share, CURLSHOPT_LOCKFUNC, lock_share);
	curl_share_setopt(share, CURLSHOPT_UNLOCKFUNC, unlock_share);
	curl_share_setopt(share, CURLSHOPT_USERDATA, c);
	curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	return share;
}

static void client_destroy(struct s3_backend *be)
{
	struct client *c = client_of(be);

	assert(c->in_flight == 0);
	for (unsigned i = 0; i < c->thread_count; i++)
		transfer_free(c->threads[i]);
	while (c->kept) {
		struct flight *f = c->kept;

		c->kept = f->next;
		free(f);
	}
	if (c->share)
		curl_share_cleanup(c->share);
	pthread_cond_destroy(&c->news);
	pthread_mutex_destroy(&c->lock);
	for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_destroy(&c->share_locks[i]);
	free(c->user_agent);
	free(c);
	curl_global_cleanup();
}

static unsigned default_threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	long threads = processors / 2;

	if (threads < 1)
		return 1;
	return threads > DEFAULT_MAX_THREADS ? DEFAULT_MAX_THREADS : (unsigned)threads;
}

static const struct s3_backend_ops client_ops = {
	.submit = client_submit,
	.cancel = client_cancel,
	.poll = client_poll,
	.wake = client_wake,
	.now_ms = client_now_ms,
	.destroy = client_destroy,
};

static struct client *allocate_client(void)
{
	struct client *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	c->backend.ops = &client_ops;
	pthread_mutex_init(&c->lock, NULL);
	for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_init(&c->share_locks[i], NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->news, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

static bool start_threads(struct client *c, const struct s3_client_options *options)
{
	unsigned count = options->threads ? options->threads : default_threads();
	struct transfer_config config = {
		.max_connections = options->max_connections ? options->max_connections : DEFAULT_CONNECTIONS,
		.connect_timeout_ms =
			options->connect_timeout_ms ? options->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS,
		.stall_timeout_ms = options->stall_timeout_ms ? options->stall_timeout_ms : DEFAULT_STALL_TIMEOUT_MS,
		.user_agent = c->user_agent,
		.share = c->share,
		.deliver = deliver,
		.arg = c,
	};

	if (count > MAX_THREADS)
		count = MAX_THREADS;
	for (; c->thread_count < count; c->thread_count++) {
		c->threads[c->thread_count] = transfer_new(&config);
		if (!c->threads[c->thread_count])
			return false;
	}
	return true;
}

/* Each connection is a descriptor, and the usual soft limit of 1024 is for programs that call select(). */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= WANTED_FILES)
		return;
	limit.rlim_cur = limit.rlim_max < WANTED_FILES ? limit.rlim_max : WANTED_FILES;
	setrlimit(RLIMIT_NOFILE, &limit);
}

struct s3_backend *s3_client_new(const struct s3_client_options *options, char *err, size_t err_size)
{
	struct client *c;
	CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT); /* counted by libcurl, given back by destroy */

	if (code != CURLE_OK) {
		snprintf(err, err_size, "libcurl cannot be set up: %s", curl_easy_strerror(code));
		return NULL;
	}
	raise_file_limit();
	c = allocate_client();
	if (!c) {
		snprintf(err, err_size, "out of memory for the S3 client");
		curl_global_cleanup();
		return NULL;
	}
	c->user_agent = strdup(options->user_agent ? options->user_agent : USER_AGENT);
	c->share = new_share(c);
	if (!c->user_agent || !c->share || !start_threads(c, options)) {
		snprintf(err, err_size, "the S3 client cannot start its transfer threads: out of memory or threads");
		client_destroy(&c->backend);
		return NULL;
	}
	return &c->backend;
}
