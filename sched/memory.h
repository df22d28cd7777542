/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory admission: one hard limit for everything that holds file data.
 *
 * The limit is divided into shares, so that no kind of use can starve another and nothing deadlocks: a relay that
 * cannot start because writers hold everything would be what the writers wait for. Within a share waiters are served
 * first come, first served. Nothing is ever refused: who does not get memory now, waits.
 *
 * Any thread; the lock inside is never held while a callback runs. */
#ifndef S3B_SCHED_MEMORY_H
#define S3B_SCHED_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "s3/base/block.h"

enum sched_memory_kind {
	SCHED_MEMORY_RELAY, /* rings and libcurl's buffers; half of the limit */
	SCHED_MEMORY_WRITE, /* data of files being written, before they fill a part; an eighth */
	SCHED_MEMORY_PART,  /* whole part buffers of streaming writers; a quarter */
	SCHED_MEMORY_READ,  /* readahead; an eighth */
	SCHED_MEMORY__COUNT,
};

struct sched_memory;

/* LIMIT_BYTES is raised to SCHED_MEMORY_MIN_BYTES, the least with which every kind can make progress. */
#define SCHED_MEMORY_MIN_BYTES ((uint64_t)32 << 20)

struct sched_memory *sched_memory_new(uint64_t limit_bytes);
void sched_memory_free(struct sched_memory *m); /* nothing may be reserved */
uint64_t sched_memory_limit(const struct sched_memory *m);
uint64_t sched_memory_share(const struct sched_memory *m, enum sched_memory_kind kind);

/* Reserves BYTES (at most the kind's share) now, unless others wait for that kind or it does not fit. */
bool sched_memory_try(struct sched_memory *m, enum sched_memory_kind kind, uint64_t bytes);
void sched_memory_release(struct sched_memory *m, enum sched_memory_kind kind, uint64_t bytes);

/* A place in the queue; the caller's memory, untouched until granted or taken back. */
struct sched_memory_waiter {
	enum sched_memory_kind kind;
	uint64_t bytes;
	void (*granted)(struct sched_memory_waiter *w); /* the bytes are reserved; on the thread that released */
	struct sched_memory_waiter *prev, *next;
	int64_t since_us;
	bool queued;
};
/* Reserves now and returns true (granted is not called), or queues W and returns false. */
bool sched_memory_wait(struct sched_memory *m, struct sched_memory_waiter *w);
/* Leaves the queue. False: W has been granted, or its callback is about to run. */
bool sched_memory_unwait(struct sched_memory *m, struct sched_memory_waiter *w);

/* A block whose BLOCK_BYTES were reserved as KIND before; the reservation ends with its last reference. */
struct block *sched_memory_block(struct sched_memory *m, enum sched_memory_kind kind);

struct sched_memory_stats {
	uint64_t limit_bytes;
	uint64_t used_bytes[SCHED_MEMORY__COUNT];
	uint64_t peak_bytes; /* of the sum */
	uint64_t waits;      /* how often somebody had to wait */
	uint64_t waited_us;  /* and how long altogether */
	unsigned waiting;    /* now */
};
void sched_memory_stats(struct sched_memory *m, struct sched_memory_stats *out);

#endif
