/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Streams: which bytes to fetch for a read and ahead of it, and which read can be answered. */
#include "fs/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "fs/stream_internal.h"

/* A run that begins at (or near) the start of the object is most likely the whole object; one that begins elsewhere
 * has to prove itself. */
#define WINDOW_START_BYTES ((uint64_t)2 << 20)
#define WINDOW_JUMP_BYTES ((uint64_t)512 << 10)
#define WINDOW_GROW_BYTES ((uint64_t)256 << 10)
/* Reads of one file come through several threads and overtake each other by so much at most. */
#define REORDER_BYTES ((uint64_t)4 << 20)
#define JUMP_GAP_BYTES ((uint64_t)256 << 10)
#define MISSES_MAX 4
/* A sixteenth of the window: at a long round trip it is the number of GETs in flight that makes the speed. */
#define CHUNK_MIN_BYTES ((uint64_t)1 << 20)
#define CHUNK_MAX_BYTES ((uint64_t)8 << 20)
#define CHUNKS_AT_ONCE 16
/* Into how many chunks the window is cut. Far away it is the number of GETs in flight that counts; near by each GET costs more than it
 * waits: 900 MB/s with 4 instead of 650 with 16, from a server on the same machine. */
#define CHUNKS_FAR 16
#define CHUNKS_NEAR 4
#define NEAR_US 5000

/* --------------------------------------------------------------------------------------------- what is there */

/* The chunk to take the byte at POS from: one that will have it soonest, then the longest. */
static struct stream_chunk *pick_locked(struct stream *st, uint64_t pos)
{
	static const int rank[] = {[CHUNK_STARTING] = 1, [CHUNK_WAITING] = 0, [CHUNK_FLYING] = 2, [CHUNK_COMPLETE] = 2};
	struct stream_chunk *c, *best = NULL;

	for (c = st->chunks; c && c->offset <= pos; c = c->next) {
		if (!stream_chunk_has(c, pos))
			continue;
		if (!best || rank[c->state] > rank[best->state] ||
		    (rank[c->state] == rank[best->state] && c->offset + c->length > best->offset + best->length))
			best = c;
	}
	return best;
}

enum gather_result {
	GATHER_READY,
	GATHER_PENDING,
	GATHER_QUEUED, /* pending, and a chunk waits for memory */
	GATHER_MISSING,
};

/* Fills R's vectors as far as bytes are there. MISSING: nobody fetches what begins at *FIRST. */
static enum gather_result gather_locked(struct stream_wait *r, struct stream_chunk **from, uint64_t *first)
{
	enum gather_result result = GATHER_READY;
	uint64_t pos = r->offset, end = r->offset + r->length, stop;

	for (r->count = 0; pos < end; pos = stop, r->count++) {
		struct stream_chunk *c = pick_locked(r->stream, pos);

		if (!c || r->count == STREAM_VECTORS) {
			*first = c ? r->offset : pos;
			r->count = 0;
			return GATHER_MISSING;
		}
		stop = stream_chunk_piece_end(c, pos);
		if (stop > end)
			stop = end;
		from[r->count] = c;
		r->iov[r->count].iov_len = (size_t)(stop - pos);
		if (c->state == CHUNK_WAITING)
			result = GATHER_QUEUED;
		else if (stop - c->offset > c->filled_bytes && result == GATHER_READY)
			result = GATHER_PENDING;
	}
	return result;
}

bool stream_chunk_awaited_locked(struct stream_chunk *c, bool protected)
{
	struct stream_chunk *from[STREAM_VECTORS];
	struct stream_wait *r;
	uint64_t first;

	DL_FOREACH(c->stream->reads, r) {
		if (r->offset >= c->offset + c->length || r->offset + r->length <= c->offset)
			continue;
		if (!protected || gather_locked(r, from, &first) < GATHER_QUEUED)
			return true;
	}
	return false;
}

void stream_answer_locked(struct stream_wait *r, int err, struct stream_work *work)
{
	DL_DELETE(r->stream->reads, r);
	r->err = err;
	if (err)
		r->count = 0;
	DL_APPEND(work->answers, r);
}

/* Everything is there: references for the vectors. A block that has been read to its end is given away. */
static void serve_locked(struct stream_wait *r, struct stream_chunk **from, struct stream_work *work)
{
	uint64_t pos = r->offset;
	int i;

	for (i = 0; i < r->count; pos += r->iov[i++].iov_len) {
		struct stream_chunk *c = from[i];
		size_t skip = (size_t)(pos - c->offset), index = skip / BLOCK_BYTES;
		struct stream_piece *piece = &c->pieces[index];
		uint64_t end = stream_chunk_piece_end(c, pos);

		r->iov[i].iov_base = block_data(piece->block) + skip % BLOCK_BYTES;
		piece->served_bytes += (uint32_t)r->iov[i].iov_len;
		if (piece->served_bytes < end - c->offset - index * BLOCK_BYTES || end - c->offset > c->filled_bytes) {
			r->blocks[i] = block_ref(piece->block);
			continue;
		}
		r->blocks[i] = piece->block;
		piece->block = NULL;
		if (--c->live == 0 && c->state == CHUNK_COMPLETE)
			stream_chunk_remove_locked(c, false, work);
	}
	stream_answer_locked(r, 0, work);
}

static void settle_one_locked(struct stream_wait *r, struct stream_work *work)
{
	struct stream_chunk *from[STREAM_VECTORS];
	uint64_t first;

	switch (gather_locked(r, from, &first)) {
	case GATHER_READY:
		serve_locked(r, from, work);
		break;
	case GATHER_MISSING:
		if (!stream_chunk_new_locked(r->stream, r->offset, r->length, true, work))
			stream_answer_locked(r, ENOMEM, work);
		break;
	case GATHER_PENDING:
	case GATHER_QUEUED:
		break;
	}
}

void stream_settle_locked(struct stream *st, struct stream_work *work)
{
	struct stream_wait *r, *tmp;

	DL_FOREACH_SAFE(st->reads, r, tmp)
		settle_one_locked(r, work);
}

void stream_settle_chunk_locked(struct stream_chunk *c, size_t from, size_t filled, struct stream_work *work)
{
	uint64_t begin = c->offset + from, upto = c->offset + filled, chunk_end = c->offset + c->length;
	struct stream_wait *r, *tmp;

	DL_FOREACH_SAFE(c->stream->reads, r, tmp) {
		uint64_t end = r->offset + r->length < chunk_end ? r->offset + r->length : chunk_end;

		if (r->offset < upto && end > begin && end <= upto)
			settle_one_locked(r, work);
	}
}

/* --------------------------------------------------------------------------------------- the sequential run */

void stream_drop_stale_locked(struct stream *st, struct stream_work *work)
{
	struct stream_chunk *c, *next;
	unsigned i;

	for (c = st->chunks; c && c->offset + REORDER_BYTES < st->seq_end; c = next) {
		next = c->next;
		if (c->state < CHUNK_FLYING || stream_chunk_awaited_locked(c, false))
			continue;
		for (i = 0; i < c->piece_count; i++) {
			uint64_t end = stream_chunk_piece_end(c, c->offset + i * BLOCK_BYTES);

			if (end + REORDER_BYTES > st->seq_end || end - c->offset > c->filled_bytes)
				break;
			if (c->pieces[i].block && !stream_chunk_drop_piece_locked(c, i, work))
				return;
		}
		if (!c->live && c->state == CHUNK_COMPLETE)
			stream_chunk_remove_locked(c, false, work);
	}
}

/* The reader went elsewhere: what was read ahead for nothing. */
static void forget_locked(struct stream *st, struct stream_work *work)
{
	struct stream_chunk *c, *next;

	for (c = st->chunks; c; c = next) {
		next = c->next;
		if (!stream_chunk_awaited_locked(c, false))
			stream_chunk_remove_locked(c, false, work);
	}
}

static void run_begin_locked(struct stream *st, uint64_t offset, uint64_t window)
{
	st->running = true;
	st->misses = 0;
	st->seq_end = st->ahead_end = st->grown_at = offset;
	st->window_bytes = window < st->window_max_bytes ? window : st->window_max_bytes;
}

static void run_advance_locked(struct stream *st, uint64_t end)
{
	uint64_t step = st->window_bytes / 2 > WINDOW_GROW_BYTES ? st->window_bytes / 2 : WINDOW_GROW_BYTES;

	if (end <= st->seq_end)
		return;
	st->seq_end = end;
	if (st->seq_end - st->grown_at < step || stream_pool_is_short(st->pool))
		return;
	st->grown_at = st->seq_end;
	st->window_bytes = st->window_bytes * 2 > WINDOW_GROW_BYTES ? st->window_bytes * 2 : WINDOW_GROW_BYTES;
	if (st->window_bytes > st->window_max_bytes)
		st->window_bytes = st->window_max_bytes;
}

/* Does a read belong to a sequential run; if so, the run, which reached to *BEFORE, now reaches to its end. */
static bool classify_locked(struct stream *st, uint64_t offset, uint64_t end, uint64_t *before,
			    struct stream_work *work)
{
	if (!st->started && (offset < CHUNK_MIN_BYTES || st->source->size_bytes <= CHUNK_MIN_BYTES))
		run_begin_locked(st, offset, WINDOW_START_BYTES);
	st->started = true;
	if (st->running && offset + REORDER_BYTES >= st->seq_end && offset <= st->seq_end + REORDER_BYTES) {
		if (offset == st->seq_end)
			st->misses = 0;
		*before = st->seq_end;
		run_advance_locked(st, end);
		return true;
	}
	if (st->far_end && offset >= st->far_end && offset - st->far_end <= JUMP_GAP_BYTES) {
		forget_locked(st, work);
		run_begin_locked(st, offset, WINDOW_JUMP_BYTES);
		*before = st->seq_end;
		run_advance_locked(st, end);
		return true;
	}
	st->far_end = end;
	if (st->running && ++st->misses == MISSES_MAX) {
		st->running = false;
		forget_locked(st, work);
	}
	return false;
}

static uint64_t chunk_bytes_locked(const struct stream *st)
{
	bool is_near = st->first_byte_us && st->first_byte_us < NEAR_US;
	uint64_t bytes = st->window_bytes / (is_near ? CHUNKS_NEAR : CHUNKS_FAR);
	uint64_t most = sched_memory_share(st->memory, SCHED_MEMORY_READ) / 4;

	if (bytes < CHUNK_MIN_BYTES)
		bytes = CHUNK_MIN_BYTES;
	if (bytes > CHUNK_MAX_BYTES)
		bytes = CHUNK_MAX_BYTES;
	if (bytes > most)
		bytes = most;
	if (bytes > st->window_bytes)
		bytes = st->window_bytes;
	return bytes < BLOCK_BYTES ? BLOCK_BYTES : bytes - bytes % BLOCK_BYTES;
}

/* Where a chunk that begins at ahead_end should end; one that begins within R holds the rest of it. */
static uint64_t chunk_end_locked(const struct stream *st, uint64_t chunk_bytes, const struct stream_wait *r)
{
	uint64_t size = st->source->size_bytes, end = st->ahead_end + chunk_bytes;
	const struct stream_chunk *c;

	end -= end % BLOCK_BYTES; /* as the kernel cuts its reads */
	if (end < r->offset + r->length && st->ahead_end >= r->offset)
		end = r->offset + r->length;
	if (end >= size || size - end <= chunk_bytes / 4)
		end = size; /* no GET of its own for a small rest */
	DL_FOREACH(st->chunks, c) {
		if (c->offset > st->ahead_end && c->offset < end)
			end = c->offset;
	}
	return end;
}

/* Asks for what R waits for, and ahead of that. */
static void plan_run_locked(struct stream *st, uint64_t before, const struct stream_wait *r, struct stream_work *work)
{
	uint64_t read_end = r->offset + r->length;
	/* While memory is short only what R itself needs, but in whole chunks: the reads that follow wait with it. */
	uint64_t target = st->seq_end + (stream_pool_is_short(st->pool) ? 0 : st->window_bytes);
	uint64_t chunk_bytes = chunk_bytes_locked(st), end;
	struct stream_chunk *c;
	unsigned n = 0;

	if (target > st->source->size_bytes)
		target = st->source->size_bytes;
	if (st->ahead_end < before)
		st->ahead_end = before;
	while (st->ahead_end < target && n < CHUNKS_AT_ONCE) {
		c = pick_locked(st, st->ahead_end);
		if (c) {
			st->ahead_end = stream_chunk_piece_end(c, st->ahead_end);
			continue;
		}
		end = chunk_end_locked(st, chunk_bytes, r);
		if (st->ahead_end >= read_end && end > target)
			return; /* later, when it is a whole chunk */
		if (!st->window_max_bytes && end > read_end)
			end = read_end; /* no readahead at all */
		if (!stream_chunk_new_locked(st, st->ahead_end, (size_t)(end - st->ahead_end), false, work))
			return;
		st->ahead_end = end;
		n++;
	}
}

/* ------------------------------------------------------------------------------------------------ interface */

struct stream *stream_new(struct sched *s, struct sched_source *source, const struct stream_config *config)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->sched = s;
	st->memory = sched_memory_of(s);
	st->pool = stream_pool_join(st->memory);
	if (!st->pool) {
		free(st);
		return NULL;
	}
	st->source = sched_source_ref(source);
	st->window_max_bytes = sched_memory_share(st->memory, SCHED_MEMORY_READ);
	if (st->window_max_bytes > config->readahead_max_bytes)
		st->window_max_bytes = config->readahead_max_bytes;
	atomic_init(&st->refs, 1);
	pthread_mutex_init(&st->lock, NULL);
	stream_pool_add(st);
	return st;
}

void stream_unref(struct stream *st)
{
	if (atomic_fetch_sub(&st->refs, 1) != 1)
		return;
	assert(!st->chunks && !st->reads);
	pthread_mutex_destroy(&st->lock);
	sched_source_unref(st->source);
	stream_pool_leave(st->pool);
	free(st);
}

void stream_read(struct stream *st, uint64_t offset, size_t length, stream_read_fn fn, void *arg, uint64_t *read_id)
{
	uint64_t size = st->source->size_bytes, before, first;
	struct stream_chunk *from[STREAM_VECTORS];
	struct stream_work work = {0};
	struct stream_wait *r;

	assert(length <= STREAM_READ_MAX);
	*read_id = 0;
	if (offset >= size || !length) {
		fn(arg, 0, NULL, 0);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		fn(arg, ENOMEM, NULL, 0);
		return;
	}
	atomic_fetch_add(&st->refs, 1);
	r->stream = st;
	r->offset = offset;
	r->length = length < size - offset ? length : (size_t)(size - offset);
	r->fn = fn;
	r->arg = arg;
	work.current = r;
	work.current_id = read_id;
	atomic_store(&st->tick, atomic_fetch_add(&st->pool->tick, 1) + 1);

	pthread_mutex_lock(&st->lock);
	r->id = ++st->last_id;
	*read_id = r->id; /* before anyone else can answer, for then it may be gone */
	DL_APPEND(st->reads, r);
	if (classify_locked(st, offset, offset + r->length, &before, &work)) {
		plan_run_locked(st, before, r, &work);
		stream_drop_stale_locked(st, &work);
	}
	if (gather_locked(r, from, &first) == GATHER_MISSING)
		stream_chunk_new_locked(st, first, (size_t)(offset + r->length - first), true, &work);
	settle_one_locked(r, &work);
	pthread_mutex_unlock(&st->lock);
	stream_work_run(st, &work);
}

void stream_interrupt(struct stream *st, uint64_t read_id)
{
	struct stream_work work = {0};
	struct stream_wait *r;

	pthread_mutex_lock(&st->lock);
	DL_SEARCH_SCALAR(st->reads, r, id, read_id);
	if (r)
		stream_answer_locked(r, EINTR, &work);
	pthread_mutex_unlock(&st->lock);
	stream_work_run(st, &work);
}

void stream_close(struct stream *st)
{
	struct stream_chunk *c, *queued = NULL;
	struct stream_work work = {0};

	pthread_mutex_lock(&st->lock);
	assert(!st->reads);
	while ((c = st->chunks)) {
		if (c->state == CHUNK_WAITING) {
			c->refs++;
			LL_PREPEND2(queued, c, work_next);
		}
		stream_chunk_remove_locked(c, false, &work);
	}
	pthread_mutex_unlock(&st->lock);
	while ((c = queued)) {
		queued = c->work_next;
		c->work_next = NULL;
		stream_chunk_unwait(c);
	}
	stream_work_run(st, &work);
	stream_pool_remove(st);
	stream_unref(st);
}
