/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The course of a run in bounded memory. Pure: the clock comes with each reading.
 *
 * A sample is what happened from its start to its end. When there is no room for another, neighbours are merged and the
 * least length of a sample doubles, so that a run of any length is covered, more coarsely the longer it is. Time without
 * work has no samples. */
#ifndef S3B_FS_HISTORY_H
#define S3B_FS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/memory.h"
#include "sched/sched.h"

#define HISTORY_SAMPLES     720
#define HISTORY_PATHS       16 /* endpoints × directions; what comes later is not recorded, but counted */
#define HISTORY_INTERVAL_MS 1000

enum history_traffic {
	HISTORY_COPIED,        /* relayed through this host */
	HISTORY_UPLOADED,      /* from memory */
	HISTORY_DOWNLOADED,    /* read by programs */
	HISTORY_SERVER_COPIED, /* never seen by this host */
	HISTORY_TRAFFIC__COUNT,
};

/* Of mean values "mean over the sample", of counts "during the sample". */
struct history_class {
	float running, queued, slots;  /* mean */
	uint32_t changes;              /* that ended well, and how long they took: */
	uint32_t p50_ms, p90_ms, p99_ms; /* after a merge: means of the samples', weighted by their changes */
};

struct history_path {
	uint64_t bytes;
	uint32_t requests, errors, throttled;
	uint32_t rtt_us, rtt_mean_us; /* the baseline's smallest and the mean; 0: not known, or nothing was asked */
	float limit, in_flight;       /* mean; limit 0: none */
};

struct history_sample {
	int64_t start_ms, end_ms;
	uint64_t bytes[HISTORY_TRAFFIC__COUNT];
	uint64_t memory_bytes; /* most in use */
	uint32_t done, failed, retries, throttled;
	struct history_class classes[SCHED_CLASS__COUNT];
	struct history_path paths[HISTORY_PATHS];
};

/* The state of the scheduler at a moment; borrowed for the call. */
struct history_reading {
	int64_t at_ms;
	const struct sched_stats *stats;
	const struct sched_engine_stats *engine;
	const struct sched_memory_stats *memory;
};

struct history {
	int64_t interval_ms; /* the least length of a sample that is not the newest */
	size_t count;
	struct history_sample samples[HISTORY_SAMPLES];

	struct {
		char endpoint[128];
		enum sched_direction direction;
		uint64_t bytes, requests, errors, throttled; /* at the last reading */
	} paths[HISTORY_PATHS];
	unsigned path_count, paths_left_out;

	/* the last reading */
	bool has_last;
	int64_t last_ms;
	uint64_t last_bytes[HISTORY_TRAFFIC__COUNT], last_done, last_failed, last_retries, last_throttled;
	struct sched_latency last_latency[SCHED_CLASS__COUNT];
};

/* H is zeroed memory, as calloc gives it: pages that are never used cost nothing. */
void history_init(struct history *h);
/* Work begins: what came before, since the last reading, was idle. */
void history_begin(struct history *h, const struct history_reading *r);
/* Work went on since the last reading. Without history_begin before, does as that does. */
void history_add(struct history *h, const struct history_reading *r);

#endif
