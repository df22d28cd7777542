/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory admission: shares of one limit, and a first come, first served queue for each share. */
#include "sched/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include <utlist.h>

#include "s3/base/clock.h"

/* A block knows only its owner, so there is one owner for each kind. */
struct kind_owner {
	struct block_owner base;
	struct sched_memory *memory;
	enum sched_memory_kind kind;
};

struct sched_memory {
	/* fixed after creation */
	uint64_t limit_bytes;
	uint64_t share_bytes[SCHED_MEMORY__COUNT];
	struct kind_owner owners[SCHED_MEMORY__COUNT];

	pthread_mutex_t lock;
	/* under lock */
	uint64_t used_bytes[SCHED_MEMORY__COUNT];
	uint64_t total_bytes, peak_bytes;
	struct sched_memory_waiter *waiting[SCHED_MEMORY__COUNT];
	unsigned waiting_count;
	uint64_t waits, waited_us;
};

static void block_released(struct block_owner *base)
{
	struct kind_owner *owner = (struct kind_owner *)base; /* base is the first field */

	sched_memory_release(owner->memory, owner->kind, BLOCK_BYTES);
}

struct sched_memory *sched_memory_new(uint64_t limit_bytes)
{
	struct sched_memory *m = calloc(1, sizeof(*m));
	unsigned k;

	if (!m)
		return NULL;
	if (limit_bytes < SCHED_MEMORY_MIN_BYTES)
		limit_bytes = SCHED_MEMORY_MIN_BYTES;
	m->limit_bytes = limit_bytes;
	m->share_bytes[SCHED_MEMORY_RELAY] = limit_bytes / 2;
	m->share_bytes[SCHED_MEMORY_WRITE] = limit_bytes / 8;
	m->share_bytes[SCHED_MEMORY_PART] = limit_bytes / 4;
	m->share_bytes[SCHED_MEMORY_READ] = limit_bytes / 8;
	for (k = 0; k < SCHED_MEMORY__COUNT; k++) {
		m->owners[k].base.released = block_released;
		m->owners[k].memory = m;
		m->owners[k].kind = k;
	}
	if (pthread_mutex_init(&m->lock, NULL) != 0) {
		free(m);
		return NULL;
	}
	return m;
}

void sched_memory_free(struct sched_memory *m)
{
	if (!m)
		return;
	assert(m->total_bytes == 0);
	assert(m->waiting_count == 0);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

uint64_t sched_memory_limit(const struct sched_memory *m)
{
	return m->limit_bytes;
}

uint64_t sched_memory_share(const struct sched_memory *m, enum sched_memory_kind kind)
{
	return m->share_bytes[kind];
}

static bool fits_locked(const struct sched_memory *m, enum sched_memory_kind kind, uint64_t bytes)
{
	assert(bytes <= m->share_bytes[kind]); /* more could never be granted */
	return m->used_bytes[kind] + bytes <= m->share_bytes[kind];
}

static void take_locked(struct sched_memory *m, enum sched_memory_kind kind, uint64_t bytes)
{
	m->used_bytes[kind] += bytes;
	m->total_bytes += bytes;
	if (m->total_bytes > m->peak_bytes)
		m->peak_bytes = m->total_bytes;
}

/* Moves every waiter of KIND that fits, in order, to the list that is returned. The first that does not fit stops the
 * others: a large one must not be overtaken for ever. */
static struct sched_memory_waiter *grant_locked(struct sched_memory *m, enum sched_memory_kind kind)
{
	struct sched_memory_waiter *granted = NULL, *w;

	while ((w = m->waiting[kind]) && fits_locked(m, kind, w->bytes)) {
		DL_DELETE(m->waiting[kind], w);
		m->waiting_count--;
		m->waited_us += (uint64_t)(clock_monotonic_us() - w->since_us);
		take_locked(m, kind, w->bytes);
		w->queued = false;
		DL_APPEND(granted, w);
	}
	return granted;
}

static void tell_granted(struct sched_memory_waiter *granted)
{
	struct sched_memory_waiter *w;

	while ((w = granted)) {
		granted = w->next; /* the callback may free W */
		w->granted(w);
	}
}

bool sched_memory_try(struct sched_memory *m, enum sched_memory_kind kind, uint64_t bytes)
{
	bool ok;

	pthread_mutex_lock(&m->lock);
	ok = !m->waiting[kind] && fits_locked(m, kind, bytes);
	if (ok)
		take_locked(m, kind, bytes);
	pthread_mutex_unlock(&m->lock);
	return ok;
}

void sched_memory_release(struct sched_memory *m, enum sched_memory_kind kind, uint64_t bytes)
{
	struct sched_memory_waiter *granted;

	pthread_mutex_lock(&m->lock);
	assert(m->used_bytes[kind] >= bytes);
	m->used_bytes[kind] -= bytes;
	m->total_bytes -= bytes;
	granted = grant_locked(m, kind);
	pthread_mutex_unlock(&m->lock);
	tell_granted(granted);
}

bool sched_memory_wait(struct sched_memory *m, struct sched_memory_waiter *w)
{
	bool now;

	pthread_mutex_lock(&m->lock);
	now = !m->waiting[w->kind] && fits_locked(m, w->kind, w->bytes);
	w->queued = !now;
	if (now) {
		take_locked(m, w->kind, w->bytes);
	} else {
		w->since_us = clock_monotonic_us();
		DL_APPEND(m->waiting[w->kind], w);
		m->waiting_count++;
		m->waits++;
	}
	pthread_mutex_unlock(&m->lock);
	return now;
}

bool sched_memory_unwait(struct sched_memory *m, struct sched_memory_waiter *w)
{
	struct sched_memory_waiter *granted = NULL;
	bool was_queued;

	pthread_mutex_lock(&m->lock);
	was_queued = w->queued;
	if (was_queued) {
		DL_DELETE(m->waiting[w->kind], w);
		m->waiting_count--;
		m->waited_us += (uint64_t)(clock_monotonic_us() - w->since_us);
		w->queued = false;
		granted = grant_locked(m, w->kind); /* W may have been the large one at the head */
	}
	pthread_mutex_unlock(&m->lock);
	tell_granted(granted);
	return was_queued;
}

/* NULL when the process is out of memory; then the reservation stays with the caller. */
struct block *sched_memory_block(struct sched_memory *m, enum sched_memory_kind kind)
{
	return block_new(&m->owners[kind].base);
}

void sched_memory_stats(struct sched_memory *m, struct sched_memory_stats *out)
{
	unsigned k;

	pthread_mutex_lock(&m->lock);
	out->limit_bytes = m->limit_bytes;
	for (k = 0; k < SCHED_MEMORY__COUNT; k++)
		out->used_bytes[k] = m->used_bytes[k];
	out->peak_bytes = m->peak_bytes;
	out->waits = m->waits;
	out->waited_us = m->waited_us;
	out->waiting = m->waiting_count;
	pthread_mutex_unlock(&m->lock);
}
