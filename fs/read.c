/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading: of an object as it is, straight from its stream; of a file that is being written, through its recipe. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/file.h"

static void gather_interrupt(struct call *c);

static void read_leave_stream(struct call *c)
{
	if (c->reading)
		handle_stream_done_locked(c->handle, c->reading);
	c->reading = NULL;
}

/* The read leaves the core: an interrupt does not find it any more. */
static void read_end(struct call *c, int err, const struct iovec *iov, int count)
{
	struct fs *fs = c->fs;

	fs_lock(fs);
	if (c->hh.tbl)
		HASH_DELETE(hh, fs->calls, c);
	c->hh.tbl = NULL;
	read_leave_stream(c);
	for (int i = 0; !err && i < count; i++)
		fs->stats.read_bytes += iov[i].iov_len;
	fs_unlock(fs);
	if (err)
		c->finish(c, err);
	else
		c->reply_data(c, iov, count);
}

static void read_through_recipe(struct call *c);

static void stream_answer(void *arg, int err, const struct iovec *iov, int count)
{
	struct call *c = arg;
	struct node *n = c->handle->node;
	bool again = false;

	if (err && err != EINTR) {
		fs_lock(c->fs);
		/* Replaced by a program here while it was being read: once more. By someone else: the next one who opens it asks. */
		again = !c->step && (n->content || n->checked_ms >= c->start_ms);
		if (again)
			read_leave_stream(c);
		else
			n->meta_known = false;
		c->step = 1;
		c->interrupt = again ? gather_interrupt : c->interrupt;
		fs_unlock(c->fs);
	}
	if (again)
		read_through_recipe(c);
	else
		read_end(c, err, iov, count);
}

/* ----------------------------------------------------------------------------------------------- recipe */

/* One read of a file with changes: its pieces are gathered in order into a buffer. */
enum { GATHER_ASKING, GATHER_WAITING, GATHER_ANSWERED };

struct gather {
	struct call *call;
	size_t have, want;
	size_t asked;      /* of the stream, for the piece in hand */
	atomic_int state;  /* who goes on: the one that comes second, asker or answer */
	int err;
	bool goes, again;  /* the source is being replaced; the piece is asked for once more */
	unsigned char bytes[];
};

static void gather_run(struct gather *g);

static void gather_end(struct gather *g)
{
	struct iovec iov = {g->bytes, g->have};
	struct call *c = g->call;

	c->private = NULL;
	read_end(c, g->err, &iov, 1);
	free(g);
}

static void gather_answer(void *arg, int err, const struct iovec *iov, int count)
{
	struct gather *g = arg;
	size_t got = 0;

	for (int i = 0; !err && i < count; i++) {
		assert(got + iov[i].iov_len <= g->asked);
		memcpy(g->bytes + g->have + got, iov[i].iov_base, iov[i].iov_len);
		got += iov[i].iov_len;
	}
	g->have += got;
	g->err = err ? err : got < g->asked ? EIO : 0;
	if (atomic_exchange(&g->state, GATHER_ANSWERED) == GATHER_WAITING)
		gather_run(g);
}

static void gather_resume(struct call *c);

/* Waits for N's commit, if there is anything to wait for. */
static bool gather_wait(struct gather *g, struct node *n)
{
	struct call *c = g->call;

	content_commit_locked(c->fs, n);
	if (!n->content || !content_will_commit_locked(n->content))
		return false;
	c->private = g;
	call_wait_locked(c, &n->content->commit_waiters, gather_resume);
	if (!c->queue)
		free(g); /* interrupted: finished by the lock */
	return true;
}

/* Takes the next piece. Returns true when it is there (or failed), false when it will come by itself. */
static bool gather_step(struct gather *g)
{
	struct call *c = g->call;
	struct fs *fs = c->fs;
	struct node *n = c->handle->node;
	struct stream *st = NULL, *old = NULL;
	const struct sched_extent *e;
	struct recipe whole = RECIPE_INIT, *r;
	uint64_t within = 0, from = 0;

	fs_lock(fs);
	read_leave_stream(c);
	r = n->content ? &n->content->recipe : &whole;
	if (!n->content && n->base)
		(void)recipe_copy(&whole, 0, n->base, 0, n->base->size_bytes);
	e = recipe_find(r, c->offset + g->have, &within);
	if (!e) {
		g->want = g->have; /* behind the end */
		goto there;
	}
	g->asked = g->want - g->have;
	if (g->asked > e->length_bytes - within)
		g->asked = (size_t)(e->length_bytes - within);
	switch (e->kind) {
	case SCHED_EXTENT_DATA:
		memcpy(g->bytes + g->have, block_data(e->block) + e->offset_bytes + within, g->asked);
		g->have += g->asked;
		goto there;
	case SCHED_EXTENT_ZERO:
		memset(g->bytes + g->have, 0, g->asked);
		g->have += g->asked;
		goto there;
	case SCHED_EXTENT_PART:
		/* Cannot be read back before the upload is complete. */
		if (gather_wait(g, n)) {
			fs_unlock(fs);
			return false;
		}
		g->err = EIO;
		goto there;
	case SCHED_EXTENT_COPY:
		g->goes = e->source->superseded;
		/* Another change of ours replaces or deletes it: this file's commit, which is ahead of that, will have it. */
		if (g->goes && (e->source != n->base || g->again) && n->content && gather_wait(g, n)) {
			fs_unlock(fs);
			return false;
		}
		st = handle_stream_locked(c->handle, e->source, &old);
		from = e->offset_bytes + within;
		c->reading = st;
		if (!st)
			g->err = ENOMEM;
		break;
	}
there:
	fs_unlock(fs);
	recipe_clear(&whole);
	if (old)
		stream_close(old);
	if (!st)
		return true;
	atomic_store(&g->state, GATHER_ASKING);
	stream_read(st, from, g->asked, gather_answer, g, &c->wait_id);
	return atomic_exchange(&g->state, GATHER_WAITING) == GATHER_ANSWERED;
}

static void gather_run(struct gather *g)
{
	for (;;) {
		if (g->err && g->err != EINTR && g->goes && !g->again) {
			/* It went while it was being read. */
			g->again = true;
			g->err = 0;
		}
		if (g->err || g->have >= g->want)
			break;
		if (!gather_step(g))
			return;
	}
	gather_end(g);
}

static void gather_timer(void *arg)
{
	gather_run(arg);
}

/* Under fs->lock, which gather_run takes: go on from the scheduler thread. */
static void gather_resume(struct call *c)
{
	struct gather *g = c->private;

	c->private = NULL;
	sched_after(c->fs->sched, 0, gather_timer, g);
}

static void gather_interrupt(struct call *c)
{
	if (c->queue)
		free(c->private);
	c->private = NULL;
}

static void read_through_recipe(struct call *c)
{
	struct gather *g = calloc(1, sizeof(*g) + c->size);

	if (!g) {
		read_end(c, ENOMEM, NULL, 0);
		return;
	}
	g->call = c;
	g->want = c->size;
	gather_run(g);
}

/* ------------------------------------------------------------------------------------------------- object */

void fs_read(struct call *c, void (*reply_data)(struct call *c, const struct iovec *iov, int count))
{
	struct fs *fs = c->fs;
	struct stream *st = NULL, *old = NULL;
	struct node *n = c->handle->node;
	bool plain, empty = false;
	int err = ENOMEM;

	c->reply_data = reply_data;
	fs_lock(fs);
	call_begin_locked(fs, c);
	fs->stats.reads++;
	plain = !n->content || (!content_is_dirty_locked(n->content) && !n->content->committing);
	if (plain && n->base && c->offset < n->base->size_bytes) {
		st = handle_stream_locked(c->handle, n->base, &old);
		c->reading = st;
	} else {
		empty = plain && (n->base || n->content);
		err = ESTALE; /* else its object is gone */
	}
	c->interrupt = plain ? NULL : gather_interrupt;
	fs_unlock(fs);
	if (old)
		stream_close(old);
	if (st)
		stream_read(st, c->offset, c->size, stream_answer, c, &c->wait_id);
	else if (empty)
		read_end(c, 0, NULL, 0);
	else if (plain)
		read_end(c, err, NULL, 0);
	else
		read_through_recipe(c);
}
