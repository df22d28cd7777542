/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a recipe to an object: when a file's commit starts, and what its end means. */
#include "fs/content.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/file.h"
#include "fs/keys.h"
#include "s3/base/log.h"

/* After so many tries a commit that was put off looks whether it waits for itself. */
#define PUT_OFF_TRIES 20
/* So often it waits for what its directories' names stood for before: half a minute. Then the server shall say whether it minds. */
#define ABOVE_TRIES 600

struct content *content_get_locked(struct fs *fs, struct node *n)
{
	struct content *ct = n->content;

	if (ct)
		return ct;
	ct = calloc(1, sizeof(*ct));
	if (!ct)
		return NULL;
	ct->node = n;
	ct->appending = true;
	if (n->base && n->base->size_bytes && recipe_copy(&ct->recipe, 0, n->base, 0, n->base->size_bytes) < 0) {
		free(ct);
		return NULL;
	}
	n->content = ct;
	sched_source_unref(n->cached);
	n->cached = NULL;
	return ct;
}

void content_check_locked(const struct content *ct)
{
	assert(!ct->committing || ct->change);
	assert(!ct->settle_due_ms || ct->change);
	assert(!ct->committing || !ct->upload);
	assert(ct->upload || ct->committing || !recipe_has_parts(&ct->recipe));
	assert(ct->committed_generation <= ct->generation);
	(void)ct;
}

static void settle_stop(struct fs *fs, struct content *ct)
{
	if (!ct->settle_due_ms)
		return;
	DL_DELETE2(fs->settling, ct, settle_prev, settle_next);
	ct->settle_due_ms = 0;
}

static void origin_forget(struct fs *fs, struct content *ct)
{
	if (ct->origin_key)
		hidden_end_locked(fs, ct->origin_bucket, ct->origin_key);
	if (ct->origin_dir)
		node_unref_locked(fs, ct->origin_dir);
	ct->origin_dir = NULL;
	free(ct->origin_key);
	free(ct->origin_name);
	ct->origin_key = ct->origin_name = NULL;
}

void content_end_upload_locked(struct fs *fs, struct content *ct)
{
	if (ct->upload)
		sched_upload_abort(fs->sched, ct->upload);
	ct->upload = NULL;
	free(ct->upload_key);
	ct->upload_key = NULL;
	ct->next_part = 0;
}

void content_put_locked(struct fs *fs, struct node *n)
{
	struct content *ct = n->content;

	if (!ct || ct->writers || ct->committing || ct->failed_errno || content_is_dirty_locked(ct) || ct->commit_waiters ||
	    ct->memory_waiters || ct->parts_running)
		return;
	content_check_locked(ct);
	settle_stop(fs, ct);
	content_end_upload_locked(fs, ct);
	content_release_tickets_locked(fs, ct);
	origin_forget(fs, ct);
	n->size_bytes = n->base ? n->base->size_bytes : ct->recipe.size_bytes;
	recipe_clear(&ct->recipe);
	n->content = NULL;
	change_end_locked(fs, ct->change);
	free(ct);
	node_maybe_free_locked(fs, n);
}

/* The node goes back to what S3 has. */
static void content_revert(struct fs *fs, struct node *n)
{
	struct content *ct = n->content;

	content_end_upload_locked(fs, ct);
	recipe_clear(&ct->recipe);
	if (n->base && n->base->size_bytes)
		(void)recipe_copy(&ct->recipe, 0, n->base, 0, n->base->size_bytes);
	ct->committed_generation = ct->generation;
	ct->restart = ct->mtime_set = false;
	n->meta_known = false;
	n->checked_ms = 0;
}

void content_discard_locked(struct fs *fs, struct node *n)
{
	struct content *ct = n->content;

	if (!ct)
		return;
	settle_stop(fs, ct);
	ct->failed_errno = 0;
	content_revert(fs, n);
	if (!ct->committing) {
		change_end_locked(fs, ct->change);
		ct->change = NULL;
	}
	if (!ct->committing && !ct->parts_running)
		call_wake_locked(&ct->commit_waiters);
	if (n->content == ct)
		content_put_locked(fs, n);
}

bool content_will_commit_locked(const struct content *ct)
{
	return ct->committing || ct->parts_running || ct->settle_due_ms;
}

bool content_is_dirty_locked(const struct content *ct)
{
	return ct->generation != ct->committed_generation;
}

void content_touch_locked(struct content *ct)
{
	ct->generation++;
	ct->failed_errno = 0;
}

bool content_may_change_locked(const struct content *ct)
{
	uint64_t at = 0;

	if (!ct->committing)
		return true;
	for (size_t i = 0; i < ct->recipe.count; i++) {
		const struct sched_extent *e = &ct->recipe.extents[i];

		if (e->kind == SCHED_EXTENT_COPY && e->source == ct->node->base && e->offset_bytes != at)
			return false;
		at += e->length_bytes;
	}
	return true;
}

/* ------------------------------------------------------------------------------------------------- settle */

int64_t content_settle_time_ms(const struct node *n)
{
	return key_name_is_temporary(n->name) ? SETTLE_TEMPORARY_MS : SETTLE_MS;
}

static void settle_arm(struct fs *fs)
{
	const struct content *ct;
	int64_t due = INT64_MAX, now = fs_now_ms(fs);

	if (fs->settle_armed || !fs->settling)
		return;
	DL_FOREACH2(fs->settling, ct, settle_next)
		due = ct->settle_due_ms < due ? ct->settle_due_ms : due;
	fs->settle_armed = true;
	/* At most SETTLE_MS from now: what comes later may be due earlier. */
	sched_after(fs->sched, due <= now ? 0 : due - now > SETTLE_MS ? SETTLE_MS : due - now, content_settle_timer, fs);
}

void content_settle_timer(void *arg)
{
	struct fs *fs = arg;
	struct content *ct, *tmp;
	int64_t now = fs_now_ms(fs);

	fs_lock(fs);
	fs->settle_armed = false;
	DL_FOREACH_SAFE2(fs->settling, ct, tmp, settle_next)
		if (ct->settle_due_ms <= now)
			content_commit_locked(fs, ct->node);
	settle_arm(fs);
	fs_unlock(fs);
}

void content_settle_locked(struct fs *fs, struct node *n, int64_t delay_ms)
{
	struct content *ct = n->content;

	if (!content_is_dirty_locked(ct))
		return;
	if (ct->committing) {
		ct->restart = true;
		return;
	}
	if (!ct->change)
		ct->change = change_begin_locked(fs, n, NULL, NULL);
	if (!ct->change || delay_ms <= 0) {
		content_commit_locked(fs, n);
		return;
	}
	settle_stop(fs, ct);
	ct->settle_due_ms = fs_now_ms(fs) + delay_ms;
	DL_APPEND2(fs->settling, ct, settle_prev, settle_next);
	settle_arm(fs);
}

/* ------------------------------------------------------------------------------------------------- commit */

struct commit {
	struct fs *fs;
	struct node *node; /* one reference */
	char *key;
	unsigned bucket;
	struct s3_headers headers;
	int err; /* positive: it was refused */
	struct copied { /* what the commit copies, one reference each */
		struct sched_source *source;
		uint64_t offset_bytes, length_bytes, at;
	} *copied;
	size_t copied_count;
};

static void remember_copied(struct commit *cm, const struct recipe *r)
{
	uint64_t at = 0;

	cm->copied = calloc(r->count + 1, sizeof(*cm->copied));
	assert(cm->copied);
	for (size_t i = 0; i < r->count; at += r->extents[i++].length_bytes) {
		const struct sched_extent *e = &r->extents[i];

		if (e->kind == SCHED_EXTENT_COPY)
			cm->copied[cm->copied_count++] =
				(struct copied){sched_source_ref(e->source), e->offset_bytes, e->length_bytes, at};
	}
}

/* Does the commit put the bytes of E to AT, too? */
static bool was_copied(const struct commit *cm, const struct sched_extent *e, uint64_t at)
{
	for (size_t i = 0; e->kind == SCHED_EXTENT_COPY && i < cm->copied_count; i++) {
		const struct copied *c = &cm->copied[i];

		if (c->source == e->source && c->at <= at && at + e->length_bytes <= c->at + c->length_bytes &&
		    e->offset_bytes - c->offset_bytes == at - c->at)
			return true;
	}
	return false;
}

static void commit_free(struct commit *cm)
{
	for (size_t i = 0; i < cm->copied_count; i++)
		sched_source_unref(cm->copied[i].source);
	free(cm->copied);
	free(cm->key);
	s3_headers_clear(&cm->headers);
	free(cm);
}

/* The recipe was changed while its earlier state was being committed: what was uploaded or copied for that is now in the new object, at
 * the same place, and where it came from may be gone. */
static void recipe_rebase(struct content *ct, const struct commit *cm, struct sched_source *base)
{
	uint64_t at = 0;

	for (size_t i = 0; i < ct->recipe.count; i++) {
		struct sched_extent *e = &ct->recipe.extents[i];

		if (e->kind == SCHED_EXTENT_PART || was_copied(cm, e, at)) {
			sched_extent_clear(e);
			e->kind = SCHED_EXTENT_COPY;
			e->source = sched_source_ref(base);
			e->offset_bytes = at;
		}
		at += e->length_bytes;
	}
}

static void commit_succeeded(struct fs *fs, struct commit *cm, const struct sched_result *result)
{
	struct node *n = cm->node;
	struct content *ct = n->content;
	struct sched_source *base, *old = n->base;
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;

	base = sched_source_new(fs->buckets[cm->bucket], cm->key, result->etag, result->size_bytes);
	assert(base);
	n->base = base;
	n->last_modified = result->last_modified;
	n->checked_ms = result->etag[0] ? fs_now_ms(fs) : 0;
	n->checked_seq = ++fs->next_ask;
	n->size_bytes = result->size_bytes;
	if (s3_headers_copy(&n->headers, &cm->headers) < 0)
		s3_headers_clear(&n->headers);
	n->meta_known = true;
	ct->committed_generation = ct->committing_generation;
	failure_forget_locked(fs, n);
	if (content_is_dirty_locked(ct)) {
		recipe_rebase(ct, cm, base);
	} else {
		recipe_clear(&ct->recipe);
		if (base->size_bytes)
			(void)recipe_copy(&ct->recipe, 0, base, 0, base->size_bytes);
		ct->mtime_set = false;
		ct->small_blocks = 0;
		ct->appending = true;
		content_release_tickets_locked(fs, ct);
	}
	sched_source_unref(old);
	if (!n->unlinked && !node_key_locked(fs, n, &key) && (strcmp(key.data, cm->key) != 0 || n->bucket != cm->bucket)) {
		/* It was renamed meanwhile: the object follows. */
		content_touch_locked(ct);
		ct->restart = true;
		if (!ct->origin_key && content_set_origin_locked(fs, n, NULL, NULL, cm->bucket, cm->key) < 0)
			log_warn("%s: the old key %s stays", n->name, cm->key);
	}
}

static void commit_failed(struct fs *fs, struct commit *cm, const struct sched_result *result)
{
	struct node *n = cm->node;
	struct content *ct = n->content;
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
	struct call *c, *tmp;
	bool told = ct->told;
	int err = s3_error_errno(result->error);

	DL_FOREACH_SAFE(ct->commit_waiters, c, tmp) {
		DL_DELETE(ct->commit_waiters, c);
		c->queue = NULL;
		call_finish_locked(c, err);
		told = true;
	}
	node_path_locked(n, &path);
	if (told && result->error != S3_ERR_CANCELLED)
		log_error("%s: %s", path.data ? path.data : n->name, result->message);
	ct->told = false;
	settle_stop(fs, ct);
	if (n->unlinked) {
		content_revert(fs, n);
		return;
	}
	if (!told)
		failure_add_locked(fs, path.data ? path.data : n->name, result->message);
	origin_forget(fs, ct);
	content_revert(fs, n);
	if (n->base) {
		n->base->superseded = false;
		if (!told)
			ct->failed_errno = EIO;
	} else if (told) {
		/* It never was: the name goes, who still has it open gets the error. */
		node_ref_locked(n);
		n->unlinked = true;
		node_detach_locked(fs, n);
		node_unref_locked(fs, n);
	} else {
		ct->failed_errno = EIO;
	}
}

static void commit_done(void *arg, const struct sched_result *result)
{
	struct commit *cm = arg;
	struct fs *fs = cm->fs;
	struct node *n = cm->node;
	struct content *ct;

	fs_lock(fs);
	ct = n->content;
	assert(ct && ct->committing);
	ct->committing = false;
	if (result->error)
		commit_failed(fs, cm, result);
	else
		commit_succeeded(fs, cm, result);
	if (!content_is_dirty_locked(ct) || n->unlinked) {
		ct->restart = false;
		change_end_locked(fs, ct->change);
		ct->change = NULL;
	}
	call_wake_locked(&ct->commit_waiters);
	if (n->content == ct && !ct->committing && content_is_dirty_locked(ct) && !n->unlinked && (ct->restart || !ct->writers))
		content_commit_locked(fs, n);
	if (n->content == ct && n->unlinked && !ct->writers)
		content_discard_locked(fs, n); /* what was discarded while the commit ran */
	else if (n->content == ct)
		content_put_locked(fs, n);
	node_unref_locked(fs, n);
	fs_unlock(fs);
	commit_free(cm);
}

static void commit_refused(void *arg)
{
	struct commit *cm = arg;
	struct sched_result result = {.error = cm->err == ENOMEM ? S3_ERR_NO_MEMORY : S3_ERR_INVALID};

	snprintf(result.message, sizeof(result.message), "cannot be written: %s", strerror(cm->err));
	commit_done(cm, &result);
}

/* The commit cannot even be asked for. It fails like any other: later, so that nobody's content goes while it is being looked at. */
static void commit_refuse(struct fs *fs, struct node *n, struct commit *cm, int err)
{
	struct content *ct = n->content;

	cm->err = err;
	content_end_upload_locked(fs, ct);
	ct->committing = true;
	ct->restart = false;
	ct->committing_generation = ct->generation;
	node_ref_locked(n);
	sched_after(fs->sched, 0, commit_refused, cm);
}

static void commit_submit(struct fs *fs, struct node *n, struct commit *cm)
{
	struct content *ct = n->content;
	struct sched_commit c = {
		.bucket = fs->buckets[n->bucket], .key = cm->key, .headers = &cm->headers, .upload = ct->upload,
		.done = commit_done, .arg = cm,
	};

	remember_copied(cm, &ct->recipe);
	c.extents = recipe_snapshot(&ct->recipe, &c.extent_count);
	ct->upload = NULL;
	free(ct->upload_key);
	ct->upload_key = NULL;
	ct->next_part = 0;
	ct->committing = true;
	ct->restart = ct->covers = false;
	ct->committing_generation = ct->generation;
	if (n->base)
		n->base->superseded = true;
	node_ref_locked(n);
	log_debug("commit %s/%s: %zu extents, %llu bytes", s3_bucket_label(c.bucket), cm->key, c.extent_count,
		  (unsigned long long)ct->recipe.size_bytes);
	ct->commit_id = sched_commit(fs->sched, &c);
	if (ct->origin_key) {
		/* Ordered behind the commit, which reads it, and cancelled when that fails. */
		if (strcmp(ct->origin_key, cm->key) != 0 || ct->origin_bucket != n->bucket)
			object_delete_locked(fs, ct->origin_dir, ct->origin_name, ct->origin_bucket, ct->origin_key, ct->change,
					     NULL);
		origin_forget(fs, ct);
	}
}

/* Does it copy from an object that has the name of a directory it will be in? That can only go well before that object goes. */
static bool reads_above(const struct content *ct, const struct s3_bucket *bucket, const char *key)
{
	for (size_t i = 0; i < ct->recipe.count; i++) {
		const struct sched_extent *e = &ct->recipe.extents[i];
		size_t len = e->kind == SCHED_EXTENT_COPY && e->source->bucket == bucket ? strlen(e->source->key) : 0;

		if (len && !strncmp(key, e->source->key, len) && key[len] == '/')
			return true;
	}
	return false;
}

/* The scheduler keeps the order of what it was told. What must come before this commit and cannot be told yet makes it wait. */
static bool must_put_off(struct fs *fs, struct node *n, const char *key)
{
	struct content *ct = n->content;

	if (node_is_moving_locked(fs, n))
		return true;
	if (hidden_above_locked(fs, n->bucket, key) && !reads_above(ct, fs->buckets[n->bucket], key) && ++ct->above_tries < ABOVE_TRIES)
		return true;
	/* Those that are started now may in turn need what this one is to replace: it counts as waiting for that long. */
	ct->put_off = true;
	return content_key_is_needed_locked(fs, fs->buckets[n->bucket], key, n) &&
	       (++ct->tries % PUT_OFF_TRIES || !content_waits_for_itself_locked(fs, fs->buckets[n->bucket], key, n));
}

void content_commit_locked(struct fs *fs, struct node *n)
{
	struct content *ct = n->content;
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct commit *cm;
	int err;

	if (!ct || !content_is_dirty_locked(ct))
		return;
	settle_stop(fs, ct);
	if (ct->committing || ct->parts_running) {
		ct->restart = true;
		return;
	}
	if (n->unlinked) {
		if (!ct->writers)
			content_discard_locked(fs, n);
		return;
	}
	if (!ct->change)
		ct->change = change_begin_locked(fs, n, NULL, NULL);
	err = ct->upload_errno ? -ct->upload_errno : node_key_locked(fs, n, &key);
	if (!err && must_put_off(fs, n, key.data)) {
		ct->put_off = true;
		content_settle_locked(fs, n, SETTLE_MS);
		return;
	}
	ct->upload_errno = 0;
	ct->put_off = false;
	ct->tries = ct->above_tries = 0;
	cm = calloc(1, sizeof(*cm));
	assert(cm && ct->change);
	cm->fs = fs;
	cm->node = n;
	cm->bucket = n->bucket;
	if (!err)
		err = node_make_headers_locked(fs, n, &cm->headers);
	if (!err && !(cm->key = strdup(key.data)))
		err = -ENOMEM;
	if (err)
		commit_refuse(fs, n, cm, -err);
	else
		commit_submit(fs, n, cm);
}

int content_set_origin_locked(struct fs *fs, struct node *n, struct node *dir, const char *name, unsigned bucket, const char *key)
{
	struct content *ct = n->content;

	assert(!ct->origin_key);
	ct->origin_key = strdup(key);
	ct->origin_name = name ? strdup(name) : NULL;
	if (!ct->origin_key || (name && !ct->origin_name)) {
		free(ct->origin_key);
		ct->origin_key = NULL;
		return -ENOMEM;
	}
	ct->origin_bucket = bucket;
	ct->origin_dir = dir;
	if (dir)
		node_ref_locked(dir);
	hidden_add_locked(fs, bucket, key);
	return 0;
}

/* --------------------------------------------------------------------------------------------------- wait */

static void wait_step(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n = node_by_ino_locked(fs, c->ino);
	struct content *ct = n ? n->content : NULL;

	if (!ct || ct->committed_generation >= c->count) {
		call_finish_locked(c, ct ? ct->failed_errno : 0);
		return;
	}
	if (n->unlinked && !ct->committing) {
		call_finish_locked(c, 0);
		return;
	}
	content_commit_locked(fs, n);
	if (n->content == ct && content_will_commit_locked(ct))
		call_wait_locked(c, &ct->commit_waiters, wait_step);
	else
		call_finish_locked(c, EIO);
}

void content_wait_locked(struct call *c, struct node *n)
{
	if (!n->content) {
		call_finish_locked(c, 0);
		return;
	}
	c->ino = n->ino;
	c->count = n->content->generation;
	wait_step(c);
}
