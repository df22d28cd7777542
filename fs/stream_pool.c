/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All streams of one memory limit: so that one which reads can take from those that only hold. */
#include "fs/stream_internal.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static struct stream_pool *pools; /* one per sched_memory in use; under pools_lock */

struct stream_pool *stream_pool_join(struct sched_memory *memory)
{
	struct stream_pool *pool;

	pthread_mutex_lock(&pools_lock);
	DL_SEARCH_SCALAR(pools, pool, memory, memory);
	if (!pool && (pool = calloc(1, sizeof(*pool)))) {
		pool->memory = memory;
		pthread_mutex_init(&pool->lock, NULL);
		DL_APPEND(pools, pool);
	}
	if (pool)
		pool->refs++;
	pthread_mutex_unlock(&pools_lock);
	return pool;
}

void stream_pool_leave(struct stream_pool *pool)
{
	bool last;

	pthread_mutex_lock(&pools_lock);
	last = --pool->refs == 0;
	if (last)
		DL_DELETE(pools, pool);
	pthread_mutex_unlock(&pools_lock);
	if (!last)
		return;
	assert(!pool->streams);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void stream_pool_add(struct stream *st)
{
	pthread_mutex_lock(&st->pool->lock);
	DL_APPEND(st->pool->streams, st);
	pthread_mutex_unlock(&st->pool->lock);
}

void stream_pool_remove(struct stream *st)
{
	pthread_mutex_lock(&st->pool->lock);
	DL_DELETE(st->pool->streams, st);
	pthread_mutex_unlock(&st->pool->lock);
}

bool stream_pool_is_short(struct stream_pool *pool)
{
	return atomic_load(&pool->waiting_bytes) > atomic_load(&pool->leaving_bytes);
}

/* The stream that holds chunks and was read longest ago, but after *TICK. A reference. */
static struct stream *next_victim(struct stream_pool *pool, uint64_t *tick)
{
	struct stream *st, *oldest = NULL;
	uint64_t oldest_tick = UINT64_MAX;

	pthread_mutex_lock(&pool->lock);
	DL_FOREACH(pool->streams, st) {
		uint64_t t = atomic_load(&st->tick);

		if (t > *tick && t < oldest_tick && atomic_load(&st->chunk_count)) {
			oldest = st;
			oldest_tick = t;
		}
	}
	if (oldest)
		atomic_fetch_add(&oldest->refs, 1);
	pthread_mutex_unlock(&pool->lock);
	*tick = oldest_tick;
	return oldest;
}

/* Drops blocks of a complete chunk from its end. Returns the bytes that come back. */
static uint64_t trim_chunk_locked(struct stream_chunk *c, uint64_t need, struct stream_work *work)
{
	struct stream *st = c->stream;
	uint64_t taken = 0;
	unsigned i;

	for (i = c->piece_count; i-- > 0 && taken < need;) {
		if (!c->pieces[i].block)
			continue;
		if (!stream_chunk_drop_piece_locked(c, i, work))
			break;
		taken += BLOCK_BYTES;
		if (c->offset + i * BLOCK_BYTES < st->ahead_end)
			st->ahead_end = c->offset + i * BLOCK_BYTES;
	}
	if (!c->live)
		stream_chunk_remove_locked(c, true, work);
	return taken;
}

static void reclaim_from(struct stream *st, uint64_t need)
{
	struct stream_work work = {0};
	struct stream_chunk *c, *before;
	uint64_t taken = 0;

	pthread_mutex_lock(&st->lock);
	/* What lies farthest ahead goes first: it would be read last. */
	for (c = st->chunks ? st->chunks->prev : NULL; c && taken < need; c = before) {
		before = c == st->chunks ? NULL : c->prev;
		if (c->state < CHUNK_FLYING || stream_chunk_awaited_locked(c, true))
			continue;
		if (c->state == CHUNK_FLYING) {
			taken += (uint64_t)c->live * BLOCK_BYTES;
			stream_chunk_remove_locked(c, true, &work);
		} else {
			taken += trim_chunk_locked(c, need - taken, &work);
		}
	}
	if (taken) {
		/* Whoever has been short reads without waste from now on; the window grows again with the reading. */
		st->window_bytes /= 4;
		st->grown_at = st->seq_end;
		stream_settle_locked(st, &work);
	}
	pthread_mutex_unlock(&st->lock);
	if (taken)
		stream_work_run(st, &work);
}

static void reclaim_pass(struct stream_pool *pool)
{
	uint64_t tick = 0, waiting, leaving;
	struct stream *st;

	for (;;) {
		waiting = atomic_load(&pool->waiting_bytes);
		leaving = atomic_load(&pool->leaving_bytes);
		if (waiting <= leaving || !(st = next_victim(pool, &tick)))
			return;
		reclaim_from(st, waiting - leaving);
		stream_unref(st);
	}
}

void stream_pool_reclaim(struct stream_pool *pool)
{
	/* Dropping blocks grants memory to others, who may find it too little and come here again, on this thread: that
	 * is one more pass, not one more level of the stack. */
	static _Thread_local struct stream_pool *inside;
	static _Thread_local bool again;
	struct stream_pool *outer = inside;

	if (inside == pool) {
		again = true;
		return;
	}
	inside = pool;
	do {
		again = false;
		reclaim_pass(pool);
	} while (again);
	inside = outer;
}
