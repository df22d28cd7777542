/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The room that decides: what runs next, how it is cut, what is tried again.
 *
 * One scheduler thread owns every job, queue and limit. Other threads talk to it through sched_* calls, each of which
 * puts a message into its mailbox and returns at once. Results come back through the callback given with the call; every
 * callback runs on the scheduler thread, exactly once, without locks, and must not wait.
 *
 * Order. Every change (commit, delete) names the keys it writes and reads. A change starts only when every earlier
 * change that touches a key it writes, or writes a key it reads, has ended. So "cp a b; rm a" is safe although cp
 * returned early. When an earlier copy that READ a key fails, the later change that would have destroyed that key is
 * cancelled (S3_ERR_CANCELLED, with a sentence saying why). */
#ifndef S3B_SCHED_H
#define S3B_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "s3/base/block.h"
#include "s3/s3.h"
#include "sched/memory.h"

struct sched;

/* ------------------------------------------------------------------------------------------------- set-up */

enum sched_class {
	SCHED_INTERACTIVE, /* a person waits: lookups, listings, reads */
	SCHED_HIGH,        /* objects below 1 MB */
	SCHED_MEDIUM,      /* 1 to 100 MB */
	SCHED_LOW,         /* above */
	SCHED_CLASS__COUNT,
};
const char *sched_class_name(enum sched_class c);

struct sched_config {
	uint64_t memory_limit_bytes;
	/* The engine's four parts, each of which can be turned off; then the plain behaviour is what remains. */
	bool no_priority_queues;                /* one FIFO of requests with one number of slots; no share of anything */
	bool no_dynamic_memory;                 /* 2 MiB for each relay */
	bool no_streaming_optimizer;            /* one stream per object, nothing sent twice, fixed timeouts */
	bool no_network_monitor;                /* a fixed number in flight */
	const char *memory_profiles;            /* NULL, or what sched_engine_stats said before; read by sched_new only */
	uint64_t medium_from_bytes;             /* objects from here on are of class medium; 0: 1 MB */
	uint64_t low_from_bytes;                /* and from here on low; 0: 100 MB */
	unsigned chunk_workers;                 /* parts of one object in flight; 0: 8, adapted to the link and the load */
	unsigned concurrency;                   /* at most so many requests in flight, readers apart; 0: as the link carries */
	unsigned slots[SCHED_CLASS__COUNT];     /* at most so many requests in flight per class; 0: as the engine finds best */
	uint64_t part_size_bytes;               /* 0: by object size and link */
	unsigned retry_max;                     /* attempts after the first; 0: 8 */
	int64_t retry_base_ms, retry_cap_ms;    /* 0: 100 ms, 20 s */
	uint64_t seed;                          /* of the jitter; 0: from the clock */
};

/* The backend is borrowed and outlives the scheduler. NULL when out of memory. */
struct sched *sched_new(const struct sched_config *config, struct s3_backend *backend);
int sched_start(struct sched *s);  /* starts the thread; 0 or -errno */
void sched_stop(struct sched *s);  /* cancels what is left (callbacks run), ends and joins the thread */
void sched_free(struct sched *s);
/* One turn of the loop, for tests without a thread: mailbox, finished requests, timers, dispatch, then one poll of at
 * most TIMEOUT_MS. Returns true while anything is queued or in flight. */
bool sched_step(struct sched *s, int64_t timeout_ms);
struct sched_memory *sched_memory_of(struct sched *s);
/* The backend's clock. Any thread. */
int64_t sched_now_ms(struct sched *s);

/* ---------------------------------------------------------------------------------------------- one request */

/* Runs REQ (ownership moves here), retrying as the policy says; then DONE gets it back and owns it.
 * A GET that failed after some bytes is retried behind them: on_data never sees a byte twice. One of SCHED_INTERACTIVE
 * whose answer is late may be sent a second time before it has begun (hedge.h); on_data then runs for one of the two.
 * Returns an id for sched_cancel. For reading: LIST, HEAD, GET, HEAD_BUCKET, LIST_*. Changes go through the calls below. */
typedef void (*sched_request_fn)(void *arg, struct s3_request *req);
uint64_t sched_request(struct sched *s, struct s3_request *req, enum sched_class class, sched_request_fn done, void *arg);

/* Asks that the request or job end soon; its callback still runs. Unknown and ended ids are ignored. */
void sched_cancel(struct sched *s, uint64_t id);

/* Runs FN on the scheduler thread, not before DELAY_MS (0: as soon as it can). Returns an id; sched_cancel before it ran
 * means it never runs, and so does sched_stop. */
typedef void (*sched_timer_fn)(void *arg);
uint64_t sched_after(struct sched *s, int64_t delay_ms, sched_timer_fn fn, void *arg);

/* Runs FN once on the scheduler thread, as soon as there is something to do: now, if there is already. Timers alone are
 * nothing to do. One FN at a time. Before sched_start, or on the scheduler thread. */
void sched_on_busy(struct sched *s, sched_timer_fn fn, void *arg);

/* ------------------------------------------------------------------------------------------------- extents */

/* One version of an object in S3; immutable, counted, any thread. */
struct sched_source {
	_Atomic int refs;
	const struct s3_bucket *bucket;
	char *key;
	char *etag; /* pinned with If-Match */
	uint64_t size_bytes;
	_Atomic bool superseded; /* for the user's own use: a change that destroys it is on its way */
};
struct sched_source *sched_source_new(const struct s3_bucket *bucket, const char *key, const char *etag, uint64_t size_bytes);
struct sched_source *sched_source_ref(struct sched_source *src);
void sched_source_unref(struct sched_source *src); /* NULL is allowed */

enum sched_extent_kind {
	SCHED_EXTENT_COPY, /* LENGTH bytes of SOURCE from OFFSET */
	SCHED_EXTENT_DATA, /* LENGTH bytes of BLOCK from OFFSET */
	SCHED_EXTENT_ZERO,
	SCHED_EXTENT_PART, /* already uploaded as part PART_NUMBER of the commit's upload */
};
struct sched_extent {
	enum sched_extent_kind kind;
	uint32_t part_number;       /* PART */
	uint64_t length_bytes;
	uint64_t offset_bytes;      /* COPY, DATA */
	struct sched_source *source; /* COPY: one reference */
	struct block *block;         /* DATA: one reference */
};
void sched_extent_clear(struct sched_extent *e); /* drops the reference */
void sched_extents_free(struct sched_extent *e, size_t count); /* clears each and frees the array */

/* ----------------------------------------------------------------------------------------------- streaming */

/* A multipart upload that fills while a program writes. The handle belongs to the caller from open until it is given
 * to sched_commit or sched_upload_abort, which end it. */
struct sched_upload;

struct sched_result {
	enum s3_error error;
	char message[448];           /* on error: a sentence */
	char etag[96];               /* commit: of the new object */
	struct timespec last_modified; /* commit: the server's when it said so, else the time it answered */
	uint64_t size_bytes;
};
typedef void (*sched_done_fn)(void *arg, const struct sched_result *result);

/* HEADERS are copied: an upload's metadata is fixed when it is created. Nothing is sent before the first part. */
struct sched_upload *sched_upload_open(struct sched *s, const struct s3_bucket *bucket, const char *key,
				       const struct s3_headers *headers);
/* Sends EXTENTS (DATA and ZERO only; ownership of array and references moves here) as part NUMBER.
 * DONE gets the error after retries; then the references have been dropped. */
void sched_upload_part(struct sched *s, struct sched_upload *u, uint32_t number, struct sched_extent *extents, size_t count,
		       sched_done_fn done, void *arg);
/* Ends the upload and everything of it in flight; parts' callbacks run with S3_ERR_CANCELLED. */
void sched_upload_abort(struct sched *s, struct sched_upload *u);

/* ------------------------------------------------------------------------------------------------- changes */

/* Makes the object BUCKET/KEY be EXTENTS with HEADERS, atomically: one PUT, one CopyObject, or a multipart upload that
 * is completed last. Chooses by itself: server-side copy where both ends are one account, relay otherwise. */
struct sched_commit {
	const struct s3_bucket *bucket;
	const char *key;                  /* copied */
	const struct s3_headers *headers; /* copied */
	struct sched_extent *extents;     /* ownership moves here; covers the object without gaps */
	size_t extent_count;
	struct sched_upload *upload;      /* NULL, or ownership moves here; PART extents refer to it */
	/* UPLOAD's headers differ from HEADERS, or its key from KEY: complete it, then fix with a server-side copy and,
	 * where the key differs, delete the first. Worked out by the scheduler. */
	sched_done_fn done;
	void *arg;
};
uint64_t sched_commit(struct sched *s, const struct sched_commit *c);

/* Deletes the key (absent is success). Ordered like every change. */
uint64_t sched_delete(struct sched *s, const struct s3_bucket *bucket, const char *key, sched_done_fn done, void *arg);

/* -------------------------------------------------------------------------------------------------- to see */

struct sched_stats {
	unsigned queued[SCHED_CLASS__COUNT];   /* waiting for a slot */
	unsigned running[SCHED_CLASS__COUNT];  /* requests in flight */
	unsigned slots[SCHED_CLASS__COUNT];
	unsigned jobs_waiting;                 /* changes held back by order */
	unsigned jobs_active;                  /* changes not yet ended, waiting ones included */
	uint64_t jobs_done, jobs_failed;
	uint64_t requests[S3_OP__COUNT];       /* attempts sent */
	uint64_t retries, throttled;
	uint64_t hedged, hedges_won;           /* late requests that were sent a second time; of them so many answered first */
	uint64_t copied_bytes;                 /* relayed through this host */
	uint64_t server_copied_bytes;          /* copied by the server */
	uint64_t uploaded_bytes;               /* from memory */
	uint64_t downloaded_bytes;             /* read by programs */
};
/* Any thread: a copy kept up to date by the scheduler. */
void sched_stats(struct sched *s, struct sched_stats *out);

/* What the engine knows and has decided. */
enum sched_direction {
	SCHED_READ,  /* GET, HEAD, LIST; the source of a relay */
	SCHED_WRITE, /* PUT, parts, copies by the server, deletes */
	SCHED_DIRECTION__COUNT,
};
enum sched_band {
	SCHED_BAND_UNKNOWN,
	SCHED_BAND_EXCELLENT, /* round trip below 50 ms */
	SCHED_BAND_GOOD,      /* 100 */
	SCHED_BAND_FAIR,      /* 500 */
	SCHED_BAND_POOR,
	SCHED_BAND__COUNT,
};
const char *sched_direction_name(enum sched_direction d);
const char *sched_band_name(enum sched_band b);

struct sched_path_stats {
	char endpoint[128];
	enum sched_direction direction;
	enum sched_band band;
	uint32_t rtt_us;                /* the baseline: smallest of the last seconds; 0: unknown */
	uint32_t rtt_mean_us;           /* with queueing */
	uint32_t first_byte_us;         /* 90th percentile */
	double slowdown;                /* how many times longer a request takes than alone */
	double goodput_bytes_per_s;     /* over two seconds */
	double connection_bytes_per_s;  /* of the fastest connection lately; 0: unknown */
	unsigned limit;                 /* transfers in flight; 0: not limited */
	unsigned in_flight;
	const char *phase;              /* what the controller of the limit is doing; static */
	double pace_per_s;              /* requests started a second at most; 0: not paced */
	uint64_t requests, errors, throttled, bytes; /* errors: of network and server, those worth another attempt */
};

#define SCHED_LATENCY_BUCKETS 96
/* From how many milliseconds each bucket counts is known to sched_latency_ms alone. */
struct sched_latency {
	uint32_t counts[SCHED_LATENCY_BUCKETS]; /* four buckets to the octave */
};
/* The upper end of the bucket that holds the percentile; 0 when there is none. Pure. */
int64_t sched_latency_ms(const struct sched_latency *l, unsigned percent);

struct sched_class_stats {
	unsigned queued, running, slots;
	unsigned workers_planned;       /* so many relays of a usual object of the class fit side by side, */
	uint64_t worker_bytes;          /* each with so much memory */
	uint64_t memory_used_bytes;     /* reserved now */
	uint64_t memory_waits, memory_waited_ms;
	uint64_t changes;               /* that ended well, and how long they took from submission: */
	int64_t p50_ms, p90_ms, p99_ms;
	struct sched_latency latency;   /* all of it: what two readings differ by is what happened between them */
};
#define SCHED_PROFILES 5
struct sched_profile_stats {
	const char *name;
	uint64_t samples;
	double ratio;                   /* of what was used to the first estimate */
	double error_before, error_after; /* mean relative error of the estimate, without and with what was learned */
};

#define SCHED_PATHS_MAX 32 /* that are reported */
struct sched_engine_stats {
	int64_t at_ms; /* sched_now_ms */
	uint64_t relay_share_bytes;     /* of memory, for relays; and what of it is taken now */
	uint64_t relay_used_bytes;
	bool priority_queues, dynamic_memory, streaming_optimizer, network_monitor;
	struct sched_class_stats classes[SCHED_CLASS__COUNT];
	struct sched_profile_stats profiles[SCHED_PROFILES];
	char memory_profiles[512];      /* what was learned, as text to be kept: sched_config.memory_profiles */
	struct sched_path_stats paths[SCHED_PATHS_MAX];
	unsigned path_count;
};
/* Any thread. Large: not for a small stack. */
void sched_engine_stats(struct sched *s, struct sched_engine_stats *out);

/* What ES means, for people: why things are as they are, and what would help. Calls LINE for each sentence. Pure. */
typedef void (*sched_advice_fn)(void *arg, const char *line);
void sched_engine_advice(const struct sched_engine_stats *es, sched_advice_fn line, void *arg);

/* The running and waiting changes, for status. CALL runs on the scheduler thread for each, then with NULL at the end. */
struct sched_job_info {
	uint64_t id;
	const char *kind;     /* "copy", "upload", "delete" */
	const char *state;
	const char *bucket;   /* label */
	const char *key;
	enum sched_class class;
	uint64_t size_bytes, done_bytes;
	int64_t age_ms;
	unsigned attempts;    /* retries so far */
};
typedef void (*sched_job_fn)(void *arg, const struct sched_job_info *info);
void sched_jobs(struct sched *s, sched_job_fn call, void *arg);

#endif
