/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scheduler's own record, shared by the files of this room. Everything in it belongs to the scheduler thread
 * unless its group says otherwise. */
#ifndef S3B_SCHED_INTERNAL_H
#define S3B_SCHED_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "sched/admit.h"
#include "sched/heap.h"
#include "sched/mailbox.h"
#include "sched/net.h"
#include "sched/order.h"
#include "sched/profile.h"
#include "sched/queue.h"
#include "sched/retry.h"
#include "sched/sched.h"

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

struct background;
struct client_request;
struct job;
struct sched_task;

/* What sched_cancel can find. */
struct handle {
	uint64_t id;
	void (*cancel)(struct sched *s, struct handle *h);
	UT_hash_handle hh;
};


struct sched {
	/* fixed after sched_new */
	struct s3_backend *backend;
	struct sched_memory *memory;
	struct retry_policy retry;
	struct sched_config config;
	unsigned chunk_workers;
	uint64_t part_size_bytes;

	/* any thread */
	struct mailbox mailbox;
	_Atomic uint64_t next_id;

	pthread_mutex_t published_lock;
	struct sched_stats published; /* under published_lock */
	struct sched_engine_stats published_engine;

	/* the thread that starts and stops */
	pthread_t thread;
	bool started;

	/* the scheduler thread */
	pthread_t owner;
	bool owned; /* OWNER is set */
	bool stopping, finished;
	int64_t stop_deadline_ms;
	int64_t now_ms; /* taken once a turn */
	uint64_t random;

	struct queue queue;
	struct admit admit;
	struct profiles profiles;
	struct engine_class {
		int64_t waiting_since_ms; /* for memory; 0: not */
		uint64_t waited_ms, waits;
		uint64_t relays, used_bytes; /* that ended, and what they took */
		struct sched_latency latency; /* of changes that ended well */
		uint64_t latency_count;
	} engine[SCHED_CLASS__COUNT];
	struct net net;
	int64_t paced_until_ms;    /* when a path lets the next request start; -1: none waits for that */
	unsigned open_uploads[SCHED_CLASS__COUNT]; /* of commits */
	int64_t engine_published_ms;
	struct heap timers; /* of tasks */
	struct heap delays; /* sched_after */
	struct sched_task *ended;  /* tasks that ended without an answer from the backend; their callbacks are due */
	struct background *background; /* what nobody waits for: aborts of uploads */
	unsigned in_flight;
	sched_timer_fn busy_fn; /* sched_on_busy; NULL: nobody asked */
	void *busy_arg;

	struct order *order;
	struct handle *handles;
	struct client_request *clients;
	struct job *jobs;
	struct job *runnable_first, *runnable_last; /* may start, or were doomed or cancelled before they did */
	struct sched_upload *uploads; /* all that were ever used and not ended */
	struct sched_stats stats;
};

#ifndef NDEBUG
void sched_assert_thread(struct sched *s);
#else
static inline void sched_assert_thread(struct sched *s)
{
}
#endif

/* Hands M to the scheduler thread. Any thread. */
void sched_post(struct sched *s, struct message *m);
uint64_t sched_new_id(struct sched *s);
void handle_add(struct sched *s, struct handle *h);
void handle_remove(struct sched *s, struct handle *h);

/* engine.c */
void engine_publish(struct sched *s);
/* A change of CLASS has ended well, MS after it was submitted. */
void engine_count_latency(struct sched *s, enum sched_class class, int64_t ms);

/* delay.c */
void delays_expire(struct sched *s);
int64_t delays_next_ms(const struct sched *s); /* until the first, -1: none */
void delays_drop_all(struct sched *s);

/* client.c */
void clients_cancel_all(struct sched *s);

/* job.c */
void jobs_cancel_all(struct sched *s);
void jobs_run(struct sched *s); /* starts what is runnable, until nothing is */

/* upload.c */
void uploads_stop_all(struct sched *s);
void uploads_cancel_control(struct sched *s); /* completions too: time is up */

#endif
