/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that grow while they are written: memory for their blocks, and full parts sent before the close.
 *
 * A writer first takes single blocks of the WRITE share, at most SMALL_BLOCKS. What goes beyond needs a ticket: a whole part's
 * memory of the PART share at once. So a writer that has begun a part can always fill and send it, and writers never hold each
 * other up for good. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "s3/base/log.h"

#define SMALL_BLOCKS 8
#define PART_MIN_BYTES ((uint64_t)5 << 20) /* S3: every part but the last */
#define PARTS_MAX 10000
/* Nobody knows how long a stream gets, so parts grow: each thousand is twice as long as the one before, as memory allows. */
#define PARTS_PER_STEP 1000

uint64_t content_part_bytes(const struct fs *fs, uint32_t number)
{
	uint64_t share = sched_memory_share(sched_memory_of(fs->sched), SCHED_MEMORY_PART);
	uint64_t bytes = fs->config->part_size_bytes;

	if (!bytes)
		bytes = share >= (uint64_t)64 << 20 ? (uint64_t)8 << 20 : PART_MIN_BYTES;
	for (uint32_t n = PARTS_PER_STEP; n < number; n += PARTS_PER_STEP)
		if (bytes * 2 <= share / 2)
			bytes *= 2;
	if (bytes > share / 2)
		bytes = share / 2;
	bytes -= bytes % BLOCK_BYTES;
	return bytes < PART_MIN_BYTES ? PART_MIN_BYTES : bytes;
}

void content_release_tickets_locked(struct fs *fs, struct content *ct)
{
	if (ct->ticket_blocks)
		sched_memory_release(sched_memory_of(fs->sched), SCHED_MEMORY_PART, ct->ticket_blocks * BLOCK_BYTES);
	ct->ticket_blocks = 0;
}

/* -------------------------------------------------------------------------------------------------- parts */

struct part {
	struct fs *fs;
	struct node *node; /* one reference */
};

static void part_done(void *arg, const struct sched_result *result)
{
	struct part *p = arg;
	struct fs *fs = p->fs;
	struct node *n = p->node;
	struct content *ct;

	fs_lock(fs);
	ct = n->content;
	assert(ct && ct->parts_running);
	ct->parts_running--;
	if (result->error && result->error != S3_ERR_CANCELLED) {
		log_error("%s: %s", n->name, result->message);
		ct->upload_errno = s3_error_errno(result->error);
	}
	if (!ct->parts_running && ct->restart && !ct->committing) {
		ct->restart = false;
		content_commit_locked(fs, n);
	}
	if (!ct->parts_running && n->content == ct && !ct->committing)
		call_wake_locked(&ct->commit_waiters);
	if (n->content == ct)
		content_put_locked(fs, n);
	node_unref_locked(fs, n);
	fs_unlock(fs);
	free(p);
}

int content_upload_error_locked(struct content *ct)
{
	ct->told |= !!ct->upload_errno;
	return ct->upload_errno;
}

static int upload_open(struct fs *fs, struct node *n)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct s3_headers headers = {0};
	struct content *ct = n->content;
	int err = node_key_locked(fs, n, &key);

	if (!err)
		err = node_make_headers_locked(fs, n, &headers);
	if (!err) {
		ct->upload = sched_upload_open(fs->sched, fs->buckets[n->bucket], key.data, &headers);
		ct->upload_key = strbuf_detach(&key);
		ct->next_part = 1;
		if (!ct->upload)
			err = -ENOMEM;
	}
	s3_headers_clear(&headers);
	return err;
}

static void send_part(struct fs *fs, struct node *n, uint64_t bytes)
{
	struct content *ct = n->content;
	struct sched_extent *extents;
	struct part *p;
	size_t count;

	if (!ct->upload && upload_open(fs, n) < 0)
		return;
	p = calloc(1, sizeof(*p));
	if (!p || recipe_cut_part(&ct->recipe, bytes, ct->next_part, &extents, &count) < 0) {
		free(p);
		return;
	}
	p->fs = fs;
	p->node = n;
	node_ref_locked(n);
	ct->parts_running++;
	ct->small_blocks = 0;
	sched_upload_part(fs->sched, ct->upload, ct->next_part++, extents, count, part_done, p);
}

static void stream_parts(struct fs *fs, struct node *n, bool memory_is_short)
{
	struct content *ct = n->content;
	uint64_t bytes;

	if (ct->committing || ct->upload_errno || !ct->appending)
		return;
	for (;;) {
		uint64_t have = recipe_stream_bytes(&ct->recipe);
		unsigned running = ct->parts_running;

		bytes = content_part_bytes(fs, ct->upload ? ct->next_part : 1);
		/* A file that ends soon is one PUT: the first part goes when a second one is full as well. */
		if (have < bytes || (!ct->upload && !memory_is_short && have < 2 * bytes) || ct->next_part > PARTS_MAX)
			return;
		send_part(fs, n, bytes);
		if (ct->parts_running == running)
			return;
	}
}

void content_stream_locked(struct fs *fs, struct node *n)
{
	stream_parts(fs, n, false);
}

/* ------------------------------------------------------------------------------------------------- memory */

struct memory_wait {
	struct sched_memory_waiter waiter; /* first: the callback gets this */
	struct fs *fs;
	struct node *node; /* one reference */
};

static void memory_arrived(void *arg)
{
	struct memory_wait *mw = arg;
	struct fs *fs = mw->fs;
	struct content *ct;

	fs_lock(fs);
	ct = mw->node->content;
	if (ct && ct->memory_wait == mw) {
		ct->memory_wait = NULL;
		ct->ticket_blocks += (unsigned)(mw->waiter.bytes / BLOCK_BYTES);
		call_wake_locked(&ct->memory_waiters);
		if (mw->node->content == ct && !ct->writers) {
			content_release_tickets_locked(fs, ct);
			content_put_locked(fs, mw->node);
		}
	} else {
		sched_memory_release(sched_memory_of(fs->sched), SCHED_MEMORY_PART, mw->waiter.bytes);
	}
	node_unref_locked(fs, mw->node);
	fs_unlock(fs);
	free(mw);
}

/* May come while fs->lock is held by this very thread, which dropped a block. */
static void memory_granted(struct sched_memory_waiter *w)
{
	struct memory_wait *mw = (struct memory_wait *)w;

	sched_after(mw->fs->sched, 0, memory_arrived, mw);
}

static void memory_wait_start(struct fs *fs, struct node *n, uint64_t bytes)
{
	struct content *ct = n->content;
	struct memory_wait *mw = calloc(1, sizeof(*mw));

	assert(mw);
	mw->fs = fs;
	mw->node = n;
	mw->waiter = (struct sched_memory_waiter){.kind = SCHED_MEMORY_PART, .bytes = bytes, .granted = memory_granted};
	node_ref_locked(n);
	ct->memory_wait = mw;
	if (sched_memory_wait(sched_memory_of(fs->sched), &mw->waiter))
		memory_granted(&mw->waiter);
}

static void take_blocks(struct fs *fs, enum sched_memory_kind kind, unsigned nblocks, struct block **blocks)
{
	for (unsigned i = 0; i < nblocks; i++) {
		blocks[i] = sched_memory_block(sched_memory_of(fs->sched), kind);
		assert(blocks[i]);
	}
}

bool content_reserve_locked(struct call *c, struct node *n, unsigned nblocks, struct block **blocks)
{
	struct fs *fs = c->fs;
	struct content *ct = n->content;
	struct sched_memory *m = sched_memory_of(fs->sched);
	uint64_t part = content_part_bytes(fs, ct->upload ? ct->next_part : 1);

	assert(nblocks * BLOCK_BYTES <= part);
	if (!ct->memory_waiters && !ct->ticket_blocks && ct->small_blocks + nblocks <= SMALL_BLOCKS &&
	    sched_memory_try(m, SCHED_MEMORY_WRITE, nblocks * BLOCK_BYTES)) {
		take_blocks(fs, SCHED_MEMORY_WRITE, nblocks, blocks);
		ct->small_blocks += nblocks;
		return true;
	}
	if (ct->ticket_blocks < nblocks && !ct->memory_wait && sched_memory_try(m, SCHED_MEMORY_PART, part))
		ct->ticket_blocks += (unsigned)(part / BLOCK_BYTES);
	if (ct->ticket_blocks >= nblocks) {
		take_blocks(fs, SCHED_MEMORY_PART, nblocks, blocks);
		ct->ticket_blocks -= nblocks;
		return true;
	}
	stream_parts(fs, n, true);
	/* Scattered writes fill no part: what there is becomes durable now, which frees its memory. */
	if (!ct->parts_running && recipe_has_data(&ct->recipe))
		content_commit_locked(fs, n);
	if (!ct->memory_wait)
		memory_wait_start(fs, n, part);
	call_wait_locked(c, &ct->memory_waiters, c->resume);
	return false;
}
