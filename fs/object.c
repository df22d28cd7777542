/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two small changes: deleting an object, and writing a directory's marker. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/internal.h"
#include "fs/keys.h"
#include "s3/base/log.h"

/* After so many tries a delete that was held looks whether it waits for itself. */
#define HELD_TRIES 20

/* ------------------------------------------------------------------------------------------------- delete */

struct object_delete {
	struct object_delete *prev, *next; /* fs->held_deletes */
	unsigned tries;
	struct fs *fs;
	struct node *dir; /* where it was: one reference, or NULL */
	char *path;
	unsigned bucket;
	char *key;        /* hidden until done */
	struct hidden_wait below; /* a directory's marker: until what was in it is gone */
	struct change *change;
	struct call *waiters;
};

static void delete_end_locked(struct object_delete *d, int err)
{
	struct fs *fs = d->fs;

	hidden_end_locked(fs, d->bucket, d->key);
	while (d->waiters) {
		struct call *c = d->waiters;

		DL_DELETE(d->waiters, c);
		c->queue = NULL;
		call_finish_locked(c, err);
	}
	change_end_locked(fs, d->change);
	if (d->dir)
		node_unref_locked(fs, d->dir);
	free(d->path);
	free(d->key);
	free(d);
}

static void delete_done(void *arg, const struct sched_result *result)
{
	struct object_delete *d = arg;
	struct fs *fs = d->fs;
	int err = s3_error_errno(result->error);

	fs_lock(fs);
	if (err && d->waiters)
		log_error("%s: %s", d->path, result->message);
	else if (err)
		failure_add_locked(fs, d->path, result->message);
	/* It shows again. */
	if (err && d->dir && d->dir->dir->listing == LISTING_RUNNING)
		d->dir->dir->listing_again = true;
	else if (err && d->dir)
		d->dir->dir->listing = LISTING_NONE;
	delete_end_locked(d, err);
	fs_unlock(fs);
}

static void delete_retry(void *arg);

/* What has the key by now replaces the object, or has done so: nothing is left to delete, and it must not be hit. */
static bool is_replaced(struct object_delete *d)
{
	struct node *successor = node_by_key_locked(d->fs, d->bucket, d->key);

	if (successor && successor->content && content_is_dirty_locked(successor->content))
		successor->content->covers = true;
	return successor;
}

static void delete_start_locked(struct object_delete *d)
{
	struct fs *fs = d->fs;
	const struct s3_bucket *bucket = fs->buckets[d->bucket];

	if (is_replaced(d)) {
		log_debug("delete %s/%s: replaced", s3_bucket_label(bucket), d->key);
		delete_end_locked(d, 0);
	} else if (content_key_is_needed_locked(fs, bucket, d->key, NULL) &&
	    (++d->tries % HELD_TRIES || !content_waits_for_itself_locked(fs, bucket, d->key, NULL))) {
		log_debug("delete %s/%s: held", s3_bucket_label(bucket), d->key);
		DL_APPEND(fs->held_deletes, d);
		sched_after(fs->sched, SETTLE_MS, delete_retry, d);
	} else {
		sched_delete(fs->sched, bucket, d->key, delete_done, d);
	}
}

static void delete_retry(void *arg)
{
	struct object_delete *d = arg;
	struct fs *fs = d->fs;

	fs_lock(fs);
	DL_DELETE(fs->held_deletes, d);
	delete_start_locked(d);
	fs_unlock(fs);
}

bool object_delete_is_held_locked(const struct fs *fs, const struct s3_bucket *bucket, const char *key)
{
	const struct object_delete *d;

	DL_FOREACH(fs->held_deletes, d)
		if (fs->buckets[d->bucket] == bucket && !strcmp(d->key, key))
			return true;
	return false;
}

static void marker_delete_start(struct hidden_wait *w)
{
	struct object_delete *d = (struct object_delete *)((char *)w - offsetof(struct object_delete, below));

	DL_DELETE(d->fs->held_deletes, d);
	sched_delete(d->fs->sched, d->fs->buckets[d->bucket], d->key, delete_done, d);
}

/* The directory comes again before its old marker went: the new one takes its place. */
static void marker_delete_drop_locked(struct fs *fs, unsigned bucket, const char *key)
{
	struct object_delete *d, *tmp;

	DL_FOREACH_SAFE(fs->held_deletes, d, tmp) {
		if (d->bucket != bucket || strcmp(d->key, key) != 0)
			continue;
		DL_DELETE(fs->held_deletes, d);
		hidden_unwait_locked(fs, &d->below);
		delete_end_locked(d, 0);
	}
}

static void wait_is_over(struct call *c)
{
	call_finish_locked(c, 0);
}

void object_delete_locked(struct fs *fs, struct node *dir, const char *name, unsigned bucket, const char *key, struct change *part_of,
			  struct call *reply)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
	struct object_delete *d = calloc(1, sizeof(*d));

	assert(d);
	d->fs = fs;
	d->dir = dir;
	if (dir) {
		node_ref_locked(dir);
		node_path_locked(dir, &path);
		strbuf_addf(&path, "/%s", name);
	} else {
		strbuf_addf(&path, "/%s/%s", fs->config->buckets[bucket].name, key);
	}
	d->path = strbuf_detach(&path);
	d->change = change_begin_locked(fs, NULL, d->path, part_of);
	if (reply)
		call_wait_locked(reply, &d->waiters, wait_is_over);
	d->bucket = bucket;
	d->key = strdup(key);
	assert(d->key && d->change);
	hidden_add_locked(fs, bucket, key);
	if (!key_is_directory(key)) {
		delete_start_locked(d);
		return;
	}
	/* Servers that keep keys as files delete a directory's marker only after what was below it. */
	d->below = (struct hidden_wait){.bucket = bucket, .prefix = d->key, .fn = marker_delete_start};
	DL_APPEND(fs->held_deletes, d);
	if (!hidden_wait_below_locked(fs, &d->below))
		marker_delete_start(&d->below);
}

/* ------------------------------------------------------------------------------------------------- marker */

struct marker {
	struct fs *fs;
	struct node *dir; /* one reference, by its change */
	char *key;
	struct s3_headers headers;
};

static void marker_failed(struct fs *fs, struct node *n, const struct sched_result *result)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;

	node_path_locked(n, &path);
	n->marker_errno = s3_error_errno(result->error);
	n->meta_known = false;
	if (n->waiters)
		log_error("%s: %s", path.data, result->message);
	else
		failure_add_locked(fs, path.data ? path.data : n->name, result->message);
}

static void marker_done(void *arg, const struct sched_result *result)
{
	struct marker *m = arg;
	struct fs *fs = m->fs;
	struct node *n = m->dir;
	struct change *change;

	fs_lock(fs);
	change = n->change;
	n->change = NULL;
	n->marker_errno = 0;
	if (result->error) {
		marker_failed(fs, n, result);
	} else {
		n->checked_ms = n->head_ms = fs_now_ms(fs);
		n->checked_seq = ++fs->next_ask;
		if (s3_headers_copy(&n->headers, &m->headers) < 0)
			s3_headers_clear(&n->headers);
		if (n->marker_again && !n->unlinked) {
			n->marker_again = false;
			marker_commit_locked(fs, n);
		}
	}
	n->marker_again = false;
	if (!n->change)
		call_wake_locked(&n->waiters);
	change_end_locked(fs, change);
	fs_unlock(fs);
	s3_headers_clear(&m->headers);
	free(m->key);
	free(m);
}

static void marker_retry(void *arg);

static void marker_send_locked(struct marker *m)
{
	struct fs *fs = m->fs;

	if (hidden_above_locked(fs, m->dir->bucket, m->key))
		sched_after(fs->sched, SETTLE_MS, marker_retry, m);
	else
		sched_commit(fs->sched, &(struct sched_commit){
			.bucket = fs->buckets[m->dir->bucket], .key = m->key, .headers = &m->headers, .done = marker_done, .arg = m,
		});
}

static void marker_retry(void *arg)
{
	static const struct sched_result nothing;
	struct marker *m = arg;
	bool gone;

	fs_lock(m->fs);
	gone = m->dir->unlinked;
	if (!gone)
		marker_send_locked(m);
	fs_unlock(m->fs);
	if (gone)
		marker_done(m, &nothing);
}

void marker_commit_locked(struct fs *fs, struct node *n)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct marker *m;

	assert(n->dir);
	if (n->change) {
		n->marker_again = true;
		return;
	}
	m = calloc(1, sizeof(*m));
	assert(m);
	m->fs = fs;
	m->dir = n;
	if (node_key_locked(fs, n, &key) < 0 || node_make_headers_locked(fs, n, &m->headers) < 0) {
		n->marker_errno = EIO;
		s3_headers_clear(&m->headers);
		free(m);
		return;
	}
	n->change = change_begin_locked(fs, n, NULL, NULL);
	assert(n->change);
	m->key = strbuf_detach(&key);
	marker_delete_drop_locked(fs, n->bucket, m->key);
	marker_send_locked(m);
}

static void marker_wait_step(struct call *c)
{
	struct node *n = node_by_ino_locked(c->fs, c->ino);

	if (n && n->change) {
		call_wait_locked(c, &n->waiters, marker_wait_step);
		return;
	}
	if (n && !n->marker_errno)
		node_stat_locked(c->fs, n, &c->stat);
	call_finish_locked(c, n ? n->marker_errno : ESTALE);
}

void marker_wait_locked(struct call *c, struct node *n)
{
	c->ino = n->ino;
	marker_wait_step(c);
}
