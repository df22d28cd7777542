/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chunks: memory first, then a GET into it; and the work that is collected under the lock and done without it. */
#include "fs/stream_internal.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "s3/base/log.h"

/* ------------------------------------------------------------------------------------------ the structure */

static int chunk_compare(struct stream_chunk *a, struct stream_chunk *b)
{
	return (a->offset > b->offset) - (a->offset < b->offset);
}

struct stream_chunk *stream_chunk_new_locked(struct stream *st, uint64_t offset, size_t length, bool exact,
					     struct stream_work *work)
{
	unsigned pieces = (unsigned)((length + BLOCK_BYTES - 1) / BLOCK_BYTES);
	struct stream_chunk *c = calloc(1, sizeof(*c) + pieces * sizeof(c->pieces[0]));

	assert(length > 0 && offset + length <= st->source->size_bytes);
	if (!c)
		return NULL;
	atomic_fetch_add(&st->refs, 1);
	c->stream = st;
	c->offset = offset;
	c->length = length;
	c->piece_count = pieces;
	c->exact = exact;
	c->refs = 2; /* the list and the starter */
	DL_INSERT_INORDER(st->chunks, c, chunk_compare);
	atomic_fetch_add(&st->chunk_count, 1);
	LL_APPEND2(work->starts, c, work_next);
	return c;
}

static uint64_t chunk_reserve_bytes(const struct stream_chunk *c)
{
	return (uint64_t)c->piece_count * BLOCK_BYTES;
}

bool stream_chunk_has(const struct stream_chunk *c, uint64_t pos)
{
	if (pos < c->offset || pos >= c->offset + c->length)
		return false;
	return c->state < CHUNK_FLYING || c->pieces[(pos - c->offset) / BLOCK_BYTES].block;
}

uint64_t stream_chunk_piece_end(const struct stream_chunk *c, uint64_t pos)
{
	uint64_t end = ((pos - c->offset) / BLOCK_BYTES + 1) * BLOCK_BYTES;

	return c->offset + (end < c->length ? end : c->length);
}

static void chunk_unref_locked(struct stream_chunk *c, struct stream_work *work)
{
	assert(c->refs > 0);
	if (--c->refs == 0)
		LL_PREPEND2(work->dead, c, work_next);
}

void stream_chunk_remove_locked(struct stream_chunk *c, bool lost, struct stream_work *work)
{
	struct stream *st = c->stream;

	assert(!c->dropped);
	DL_DELETE(st->chunks, c);
	atomic_fetch_sub(&st->chunk_count, 1);
	c->dropped = true;
	if (lost && c->offset < st->ahead_end)
		st->ahead_end = c->offset;
	if (c->state == CHUNK_FLYING) {
		c->leaving_bytes = (uint64_t)c->live * BLOCK_BYTES;
		atomic_fetch_add(&st->pool->leaving_bytes, c->leaving_bytes);
		/* Not yet known: its starter cancels. No room: it ends by itself. */
		if (c->request_id && work->cancel_count < STREAM_WORK_MAX)
			work->cancels[work->cancel_count++] = c->request_id;
	}
	chunk_unref_locked(c, work);
}

bool stream_chunk_drop_piece_locked(struct stream_chunk *c, unsigned i, struct stream_work *work)
{
	if (work->trash_count == STREAM_WORK_MAX)
		return false;
	work->trash[work->trash_count++] = c->pieces[i].block;
	c->pieces[i].block = NULL;
	c->live--;
	return true;
}

static void chunk_free(struct stream_chunk *c)
{
	struct stream *st = c->stream;
	unsigned i;

	for (i = 0; i < c->piece_count; i++)
		block_unref(c->pieces[i].block);
	if (c->reserved_bytes)
		sched_memory_release(st->memory, SCHED_MEMORY_READ, c->reserved_bytes);
	atomic_fetch_sub(&st->pool->leaving_bytes, c->leaving_bytes);
	free(c);
	stream_unref(st);
}

/* ------------------------------------------------------------------------------------------------ the GET */

static void chunk_on_data(void *arg, const void *data, size_t len)
{
	struct stream_chunk *c = arg;
	struct stream *st = c->stream;
	struct stream_work work = {0};
	const unsigned char *from = data;
	size_t began = c->received_bytes, n;

	if (len > c->length - c->received_bytes) {
		c->overrun = true;
		len = c->length - c->received_bytes;
	}
	/* Without the lock: readers do not look behind filled_bytes, and no block there goes while the GET runs. */
	for (; len; len -= n, from += n, c->received_bytes += n) {
		size_t in_block = c->received_bytes % BLOCK_BYTES;

		n = len < BLOCK_BYTES - in_block ? len : BLOCK_BYTES - in_block;
		memcpy(block_data(c->pieces[c->received_bytes / BLOCK_BYTES].block) + in_block, from, n);
	}
	pthread_mutex_lock(&st->lock);
	c->filled_bytes = c->received_bytes;
	if (!c->dropped && st->reads)
		stream_settle_chunk_locked(c, began, c->filled_bytes, &work);
	pthread_mutex_unlock(&st->lock);
	stream_work_run(st, &work);
}

static int chunk_error(const struct stream_chunk *c, const struct s3_request *req)
{
	int err = s3_error_errno(req->result.error);

	switch (req->result.error) {
	case S3_OK:
		return c->overrun || c->received_bytes != c->length ? EIO : 0;
	case S3_ERR_PRECONDITION:
	case S3_ERR_NOT_FOUND:
		return EIO; /* the version that was opened is gone: ENOENT from read(2) would only puzzle */
	default:
		return err ? err : EIO;
	}
}

static void chunk_log(const struct stream_chunk *c, const struct s3_request *req)
{
	const struct sched_source *src = c->stream->source;
	const char *label = s3_bucket_label(src->bucket);

	switch (req->result.error) {
	case S3_OK:
		log_error("%s: reading \"%s\" failed: the server sent %s bytes than were asked for", label, src->key,
			  c->overrun ? "more" : "fewer");
		break;
	case S3_ERR_CANCELLED:
		break; /* the program ends */
	case S3_ERR_PRECONDITION:
	case S3_ERR_NOT_FOUND:
		log_error("%s: \"%s\" was changed or deleted by someone else while it was read: open it again", label,
			  src->key);
		break;
	default:
		log_error("%s: reading \"%s\" failed: %s", label, src->key, req->result.message);
		break;
	}
}

static void fail_reads_locked(struct stream_chunk *c, int err, struct stream_work *work)
{
	uint64_t begin = c->offset + c->filled_bytes, end = c->offset + c->length;
	struct stream_wait *r, *tmp;

	DL_FOREACH_SAFE(c->stream->reads, r, tmp) {
		if (r->offset < end && r->offset + r->length > begin)
			stream_answer_locked(r, err, work);
	}
}

static void learn_distance_locked(struct stream *st, const struct s3_result *r)
{
	int64_t waited_us = r->first_byte_us - r->started_us;

	if (r->first_byte_us && waited_us > 0 && (!st->first_byte_us || waited_us < st->first_byte_us))
		st->first_byte_us = waited_us;
}

static void chunk_done(void *arg, struct s3_request *req)
{
	struct stream_chunk *c = arg;
	struct stream *st = c->stream;
	struct stream_work work = {0};
	int err = chunk_error(c, req);
	bool say = false;

	pthread_mutex_lock(&st->lock);
	c->state = CHUNK_COMPLETE;
	learn_distance_locked(st, &req->result);
	if (!c->dropped && err) {
		say = !st->logged;
		st->logged = true;
		stream_chunk_remove_locked(c, true, &work);
		fail_reads_locked(c, err, &work);
		stream_settle_locked(st, &work);
	} else if (!c->dropped) {
		if (!c->live || (c->exact && !stream_chunk_awaited_locked(c, false)))
			stream_chunk_remove_locked(c, false, &work);
		stream_drop_stale_locked(st, &work);
	}
	pthread_mutex_unlock(&st->lock);
	if (say)
		chunk_log(c, req);
	s3_request_free(req);

	atomic_fetch_add(&st->refs, 1); /* the chunk's own may go with it */
	pthread_mutex_lock(&st->lock);
	chunk_unref_locked(c, &work);
	pthread_mutex_unlock(&st->lock);
	stream_work_run(st, &work);
	stream_unref(st);
}

/* ------------------------------------------------------------------------------------------------ starting */

static struct s3_request *chunk_request(struct stream_chunk *c)
{
	const struct sched_source *src = c->stream->source;
	struct s3_request *req = s3_request_new(S3_OP_GET, src->bucket, src->key);

	if (!req)
		return NULL;
	req->if_match = strdup(src->etag);
	if (!req->if_match) {
		s3_request_free(req);
		return NULL;
	}
	req->offset_bytes = c->offset;
	req->length_bytes = c->length;
	req->on_data = chunk_on_data;
	req->on_data_arg = c;
	return req;
}

/* Makes blocks of what is reserved and gives back the rest. False: the process is out of memory. */
static bool chunk_fill_blocks(struct stream_chunk *c)
{
	struct sched_memory *memory = c->stream->memory;
	uint64_t excess;

	assert(c->reserved_bytes >= chunk_reserve_bytes(c));
	for (; c->live < c->piece_count; c->live++) {
		c->pieces[c->live].block = sched_memory_block(memory, SCHED_MEMORY_READ);
		if (!c->pieces[c->live].block)
			return false;
		c->reserved_bytes -= BLOCK_BYTES;
	}
	excess = c->reserved_bytes;
	c->reserved_bytes = 0;
	if (excess)
		sched_memory_release(memory, SCHED_MEMORY_READ, excess);
	return true;
}

/* The starter gives up. ERR 0: memory is short and nobody waits for this chunk. */
static void chunk_abandon(struct stream_chunk *c, int err, struct stream_work *work)
{
	struct stream *st = c->stream;

	pthread_mutex_lock(&st->lock);
	if (!c->dropped) {
		stream_chunk_remove_locked(c, true, work);
		if (err)
			fail_reads_locked(c, err, work);
		stream_settle_locked(st, work);
	}
	chunk_unref_locked(c, work);
	pthread_mutex_unlock(&st->lock);
}

/* The memory is there. */
static void chunk_fly(struct stream_chunk *c, struct stream_work *work)
{
	struct stream *st = c->stream;
	struct s3_request *req = chunk_fill_blocks(c) ? chunk_request(c) : NULL;
	uint64_t id;
	bool dropped;

	if (!req) {
		chunk_abandon(c, ENOMEM, work);
		return;
	}
	pthread_mutex_lock(&st->lock);
	dropped = c->dropped;
	if (dropped) {
		chunk_unref_locked(c, work);
	} else {
		c->state = CHUNK_FLYING;
		c->refs++; /* the GET */
	}
	pthread_mutex_unlock(&st->lock);
	if (dropped) {
		s3_request_free(req);
		return;
	}
	id = sched_request(st->sched, req, SCHED_INTERACTIVE, chunk_done, c);

	pthread_mutex_lock(&st->lock);
	c->request_id = id;
	if (c->dropped && work->cancel_count < STREAM_WORK_MAX)
		work->cancels[work->cancel_count++] = id;
	chunk_unref_locked(c, work);
	pthread_mutex_unlock(&st->lock);
}

/* On whichever thread gave memory back. */
static void chunk_granted(struct sched_memory_waiter *w)
{
	struct stream_chunk *c = (struct stream_chunk *)((char *)w - offsetof(struct stream_chunk, waiter));
	struct stream *st = c->stream;
	struct stream_work work = {0};
	bool wanted;

	atomic_fetch_add(&st->refs, 1);
	atomic_fetch_sub(&st->pool->waiting_bytes, w->bytes);
	c->reserved_bytes = w->bytes;
	pthread_mutex_lock(&st->lock);
	c->state = CHUNK_STARTING;
	wanted = !c->dropped && stream_chunk_awaited_locked(c, false);
	pthread_mutex_unlock(&st->lock);
	if (wanted)
		chunk_fly(c, &work);
	else
		chunk_abandon(c, 0, &work);
	stream_work_run(st, &work);
	stream_unref(st);
}

static void chunk_start(struct stream_chunk *c, struct stream_work *work)
{
	struct stream *st = c->stream;
	bool wait;

	if (sched_memory_try(st->memory, SCHED_MEMORY_READ, chunk_reserve_bytes(c))) {
		c->reserved_bytes = chunk_reserve_bytes(c);
		chunk_fly(c, work);
		return;
	}
	pthread_mutex_lock(&st->lock);
	wait = !c->dropped && stream_chunk_awaited_locked(c, false);
	if (wait) {
		c->state = CHUNK_WAITING;
		c->waiter.kind = SCHED_MEMORY_READ;
		c->waiter.bytes = chunk_reserve_bytes(c);
		c->waiter.granted = chunk_granted;
	}
	pthread_mutex_unlock(&st->lock);
	if (!wait) {
		chunk_abandon(c, 0, work);
		return;
	}
	atomic_fetch_add(&st->pool->waiting_bytes, c->waiter.bytes);
	if (sched_memory_wait(st->memory, &c->waiter))
		chunk_granted(&c->waiter);
}

void stream_chunk_unwait(struct stream_chunk *c)
{
	struct stream *st = c->stream;
	struct stream_work work = {0};
	bool left = sched_memory_unwait(st->memory, &c->waiter);

	if (left)
		atomic_fetch_sub(&st->pool->waiting_bytes, c->waiter.bytes);
	atomic_fetch_add(&st->refs, 1);
	pthread_mutex_lock(&st->lock);
	if (left)
		chunk_unref_locked(c, &work); /* the starter's, which nobody will need now */
	chunk_unref_locked(c, &work);
	pthread_mutex_unlock(&st->lock);
	stream_work_run(st, &work);
	stream_unref(st);
}

/* -------------------------------------------------------------------------------------------------- work */

static void answer(struct stream_wait *r, struct stream_work *work)
{
	struct stream *st = r->stream;
	int i;

	if (r == work->current)
		*work->current_id = 0;
	r->fn(r->arg, r->err, r->err ? NULL : r->iov, r->err ? 0 : r->count);
	for (i = 0; i < r->count; i++)
		block_unref(r->blocks[i]);
	free(r);
	stream_unref(st);
}

void stream_work_run(struct stream *st, struct stream_work *work)
{
	struct stream_pool *pool = st->pool;
	struct stream_chunk *c;
	struct stream_wait *r;

	atomic_fetch_add(&st->refs, 1); /* an answer may let the caller close the stream */
	while (work->starts || work->answers || work->dead || work->cancel_count || work->trash_count) {
		/* GETs first, so that the network works while programs get their answers. */
		while ((c = work->starts)) {
			work->starts = c->work_next;
			c->work_next = NULL;
			chunk_start(c, work);
		}
		while (work->cancel_count)
			sched_cancel(st->sched, work->cancels[--work->cancel_count]);
		while ((r = work->answers)) {
			DL_DELETE(work->answers, r);
			answer(r, work);
		}
		while (work->trash_count)
			block_unref(work->trash[--work->trash_count]);
		while ((c = work->dead)) {
			work->dead = c->work_next;
			chunk_free(c);
		}
	}
	if (stream_pool_is_short(pool))
		stream_pool_reclaim(pool);
	stream_unref(st);
}
