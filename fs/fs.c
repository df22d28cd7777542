/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making and ending the file system; its lock, and calls in hand. */
#include "fs/fs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/file.h"
#include "fs/internal.h"
#include "fs/names.h"
#include "s3/base/clock.h"

int64_t fs_now_ms(const struct fs *fs)
{
	return sched_now_ms(fs->sched);
}

static int make_bucket_nodes(struct fs *fs)
{
	for (size_t i = 0; i < fs->config->bucket_count; i++) {
		struct node *n = node_new_locked(fs, NODE_DIRECTORY, fs->config->buckets[i].name);

		if (!n)
			return -ENOMEM;
		n->bucket = (unsigned)i;
		n->is_bucket = true;
		n->meta_known = true;
		node_attach_locked(fs->root, n);
	}
	return 0;
}

struct fs *fs_new(const struct config *config, struct sched *sched, struct s3_bucket *const *buckets)
{
	struct fs *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	pthread_mutex_init(&fs->lock, NULL);
	fs->config = config;
	fs->sched = sched;
	fs->buckets = buckets;
	fs->finished_tail = &fs->finished;
	fs->next_ino = NODE_ROOT;
	fs->next_call = fs->next_seq = fs->next_waiter = 1;
	fs->started = clock_realtime();
	fs->root = node_new_locked(fs, NODE_DIRECTORY, "");
	if (!fs->root || make_bucket_nodes(fs) < 0) {
		fs_free(fs);
		return NULL;
	}
	fs->root->meta_known = true;
	fs->root->dir->listing = LISTING_COMPLETE;
	return fs;
}

/* The kernel is gone: nothing is looked up any more, and the tree falls from its leaves. */
static void free_tree(struct fs *fs, struct node *n)
{
	struct node *child, *tmp;

	node_ref_locked(n);
	if (n->dir) {
		n->dir->listing = LISTING_NONE; /* it would hold the children */
		HASH_ITER(hh_child, n->dir->children, child, tmp)
			free_tree(fs, child);
	}
	n->lookups = 0;
	n->is_bucket = false;
	if (n->content) {
		n->content->writers = 0;
		n->content->failed_errno = 0;
		content_put_locked(fs, n);
	}
	node_unref_locked(fs, n);
}

void fs_free(struct fs *fs)
{
	struct failure *f, *ftmp;
	struct node *n, *ntmp;

	if (!fs)
		return;
	while (fs->handles)
		handle_put(fs, fs->handles); /* its RELEASE never came */
	if (fs->root)
		free_tree(fs, fs->root);
	/* What was unlinked but still looked up has no place in the tree. */
	HASH_ITER(hh, fs->nodes, n, ntmp) {
		if (!n->parent && n != fs->root && !n->refs) {
			n->lookups = 0;
			node_maybe_free_locked(fs, n);
		}
	}
	if (fs->root) {
		HASH_DELETE(hh, fs->nodes, fs->root);
		free(fs->root->dir);
		free(fs->root->name);
		free(fs->root);
	}
	hidden_free(fs);
	DL_FOREACH_SAFE(fs->failures, f, ftmp) {
		free(f->path);
		free(f->error);
		free(f);
	}
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}

/* Nobody reads the answers any more. A commit that a close waits for goes on. */
static void end_writes_locked(struct content *ct)
{
	struct call *c, *tmp;

	DL_FOREACH_SAFE(ct->memory_waiters, c, tmp) {
		DL_DELETE(ct->memory_waiters, c);
		c->queue = NULL;
		call_finish_locked(c, EIO);
	}
}

static void end_reads(struct fs *fs)
{
	struct call *c, *tmp;
	uint64_t id;

	do {
		id = 0;
		fs_lock(fs);
		HASH_ITER(hh, fs->calls, c, tmp)
			if (c->reading && !c->interrupted)
				id = c->id;
		fs_unlock(fs);
		if (id)
			fs_interrupt(fs, id);
	} while (id);
}

static void close_for_good(struct fs *fs, struct node *n)
{
	if (n->content && n->content->writers) {
		end_writes_locked(n->content);
		n->content->writers = 0;
		content_release_tickets_locked(fs, n->content);
		if (n->unlinked)
			content_discard_locked(fs, n);
		else
			content_settle_locked(fs, n, 0);
	}
	if (n->delete_key) {
		n->handles = 1;
		names_release_locked(fs, n);
	}
}

void fs_end(struct fs *fs)
{
	struct node **open, *n, *tmp;
	size_t count = 0;

	end_reads(fs);
	fs_lock(fs);
	open = calloc(HASH_COUNT(fs->nodes) + 1, sizeof(struct node *));
	/* Closing frees nodes: first all that are open, with a reference. */
	HASH_ITER(hh, fs->nodes, n, tmp) {
		if (open && n->handles) {
			node_ref_locked(n);
			open[count++] = n;
		}
	}
	for (size_t i = 0; i < count; i++) {
		close_for_good(fs, open[i]);
		node_unref_locked(fs, open[i]);
	}
	free(open);
	fs_unlock(fs);
}

const struct config *fs_config(const struct fs *fs)
{
	return fs->config;
}

struct sched *fs_sched(const struct fs *fs)
{
	return fs->sched;
}

void fs_set_recorder(struct fs *fs, struct recorder *r)
{
	fs->recorder = r;
}

struct recorder *fs_recorder(const struct fs *fs)
{
	return fs->recorder;
}

void fs_stats(struct fs *fs, struct fs_stats *out)
{
	fs_lock(fs);
	*out = fs->stats;
	fs_unlock(fs);
}

bool fs_is_readonly_locked(const struct fs *fs, const struct node *n)
{
	if (fs->config->readonly || n == fs->root)
		return true;
	return fs->config->buckets[n->bucket].readonly;
}

/* ------------------------------------------------------------------------------------------------- lock */

void fs_lock(struct fs *fs)
{
	pthread_mutex_lock(&fs->lock);
}

void fs_unlock(struct fs *fs)
{
	struct call *finished = fs->finished;
	struct waiter *woken = fs->woken, *w, *tmp;
	struct stale *stale = fs->stale;
	fs_stale_fn stale_fn = fs->stale_fn;
	void *stale_arg = fs->stale_arg;

	fs->finished = NULL;
	fs->finished_tail = &fs->finished;
	fs->woken = NULL;
	fs->stale = NULL;
	pthread_mutex_unlock(&fs->lock);

	while (stale) {
		struct stale *next = stale->next;

		if (stale_fn)
			stale_fn(stale_arg, stale->ino);
		free(stale);
		stale = next;
	}
	while (finished) {
		struct call *next = finished->finished_next;

		finished->finish(finished, finished->err);
		finished = next;
	}
	DL_FOREACH_SAFE(woken, w, tmp) {
		w->done(w->arg);
		free(w->path);
		free(w);
	}
}

void fs_on_stale(struct fs *fs, fs_stale_fn call, void *arg)
{
	fs_lock(fs);
	fs->stale_fn = call;
	fs->stale_arg = arg;
	fs_unlock(fs);
}

void node_is_stale_locked(struct fs *fs, const struct node *n)
{
	struct stale *s = n->lookups ? malloc(sizeof(*s)) : NULL;

	if (!s)
		return;
	*s = (struct stale){.next = fs->stale, .ino = n->ino};
	fs->stale = s;
}

/* ------------------------------------------------------------------------------------------------- calls */

void call_begin_locked(struct fs *fs, struct call *c)
{
	c->fs = fs;
	HASH_ADD(hh, fs->calls, id, sizeof(c->id), c);
	c->start_ms = fs_now_ms(fs);
}

void call_finish_locked(struct call *c, int err)
{
	struct fs *fs = c->fs;

	assert(!c->queue);
	if (c->hh.tbl)
		HASH_DELETE(hh, fs->calls, c);
	c->hh.tbl = NULL;
	c->err = err;
	c->finished_next = NULL;
	*fs->finished_tail = c;
	fs->finished_tail = &c->finished_next;
}

void call_wait_locked(struct call *c, struct call **queue, void (*resume)(struct call *c))
{
	assert(!c->queue);
	if (c->interrupted) {
		call_finish_locked(c, EINTR);
		return;
	}
	c->queue = queue;
	c->resume = resume;
	DL_APPEND(*queue, c);
}

void call_wake_locked(struct call **queue)
{
	struct call *waiting = *queue, *c, *tmp;

	*queue = NULL; /* a resumed call may wait here again */
	DL_FOREACH_SAFE(waiting, c, tmp) {
		DL_DELETE(waiting, c);
		c->queue = NULL;
		c->resume(c);
	}
}

void fs_interrupt(struct fs *fs, uint64_t call_id)
{
	struct handle *h = NULL;
	struct stream *reading = NULL;
	uint64_t wait_id = 0;
	struct call *c;

	fs_lock(fs);
	HASH_FIND(hh, fs->calls, &call_id, sizeof(call_id), c);
	if (c) {
		c->interrupted = true;
		if (c->interrupt)
			c->interrupt(c);
		if (c->queue) {
			DL_DELETE(*c->queue, c);
			c->queue = NULL;
			call_finish_locked(c, EINTR);
		} else if (c->reading) {
			h = c->handle;
			handle_ref_locked(h);
			reading = c->reading;
			wait_id = c->wait_id;
		}
	}
	fs_unlock(fs);
	if (h) {
		stream_interrupt(reading, wait_id);
		handle_put(fs, h);
	}
}
