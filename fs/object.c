/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two small changes: deleting an object, and writing a directory's marker. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/internal.h"
#include "s3/base/log.h"

/* So often a delete lets commits go first that wait likewise. */
#define HELD_TRIES 20

/* ------------------------------------------------------------------------------------------------- delete */

struct object_delete {
	struct object_delete *prev, *next; /* fs->held_deletes */
	unsigned tries;
	struct fs *fs;
	struct node *dir; /* one reference, or NULL */
	char *name;       /* hidden in DIR until done */
	char *path;
	const struct s3_bucket *bucket;
	char *key;
	struct change *change;
	struct call *waiters;
};

static void delete_done(void *arg, const struct sched_result *result)
{
	struct object_delete *d = arg;
	struct fs *fs = d->fs;
	int err = s3_error_errno(result->error);

	fs_lock(fs);
	if (d->dir) {
		node_unhide_name_locked(d->dir, d->name);
		/* A listing that runs may have seen the object (or, when this failed, not shown it). */
		if (d->dir->dir->listing == LISTING_RUNNING)
			d->dir->dir->listing_again = true;
		else if (err)
			d->dir->dir->listing = LISTING_NONE;
	}
	if (err && d->waiters)
		log_error("%s: %s", d->path, result->message);
	else if (err)
		failure_add_locked(fs, d->path, result->message);
	while (d->waiters) {
		struct call *c = d->waiters;

		DL_DELETE(d->waiters, c);
		c->queue = NULL;
		call_finish_locked(c, err);
	}
	change_end_locked(fs, d->change);
	if (d->dir)
		node_unref_locked(fs, d->dir);
	fs_unlock(fs);
	free(d->name);
	free(d->path);
	free(d->key);
	free(d);
}

static void delete_retry(void *arg);

static void delete_start_locked(struct object_delete *d)
{
	struct fs *fs = d->fs;

	if (content_key_is_needed_locked(fs, d->bucket, d->key, NULL, d->tries++ > HELD_TRIES)) {
		DL_APPEND(fs->held_deletes, d);
		sched_after(fs->sched, SETTLE_MS, delete_retry, d);
	} else {
		sched_delete(fs->sched, d->bucket, d->key, delete_done, d);
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
		if (d->bucket == bucket && !strcmp(d->key, key))
			return true;
	return false;
}

static void marker_delete_start(void *arg)
{
	struct object_delete *d = arg;

	fs_lock(d->fs);
	DL_DELETE(d->fs->held_deletes, d);
	sched_delete(d->fs->sched, d->bucket, d->key, delete_done, d);
	fs_unlock(d->fs);
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
		node_hide_name_locked(dir, name);
		d->name = strdup(name);
		node_path_locked(dir, &path);
		strbuf_addf(&path, "/%s", name);
	} else {
		strbuf_addf(&path, "/%s/%s", fs->config->buckets[bucket].name, key);
	}
	d->path = strbuf_detach(&path);
	d->change = change_begin_locked(fs, NULL, d->path, part_of);
	if (reply)
		call_wait_locked(reply, &d->waiters, wait_is_over);
	d->bucket = fs->buckets[bucket];
	d->key = strdup(key);
	assert(d->key && d->change);
	/* Servers that keep keys as files delete a directory's marker only after what was below it. */
	if (key[strlen(key) - 1] == '/') {
		DL_APPEND(fs->held_deletes, d);
		change_wait_older_locked(fs, d->change, marker_delete_start, d);
	} else {
		delete_start_locked(d);
	}
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

/* The delete of a directory that had the name before comes first. */
static void marker_send_locked(struct marker *m)
{
	struct fs *fs = m->fs;
	const struct s3_bucket *bucket = fs->buckets[m->dir->bucket];

	if (object_delete_is_held_locked(fs, bucket, m->key))
		sched_after(fs->sched, SETTLE_MS, marker_retry, m);
	else
		sched_commit(fs->sched, &(struct sched_commit){
			.bucket = bucket, .key = m->key, .headers = &m->headers, .done = marker_done, .arg = m,
		});
}

static void marker_retry(void *arg)
{
	struct marker *m = arg;

	fs_lock(m->fs);
	marker_send_locked(m);
	fs_unlock(m->fs);
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
