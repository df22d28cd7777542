/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes that S3 does not have yet, who waits for them, and those that failed. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/fs.h"
#include "fs/internal.h"
#include "s3/base/log.h"

struct change *change_begin_locked(struct fs *fs, struct node *n, const char *path, struct change *part_of)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (path && !(c->path = strdup(path))) {
		free(c);
		return NULL;
	}
	c->seq = part_of ? part_of->seq : fs->next_seq++;
	c->node = n;
	if (n)
		node_ref_locked(n);
	if (part_of)
		DL_APPEND_ELEM(fs->changes, part_of, c);
	else
		DL_APPEND(fs->changes, c);
	fs->change_count++;
	return c;
}

/* Is PATH what PREFIX names, or below it? */
static bool path_is_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	while (len && prefix[len - 1] == '/')
		len--;
	return !strncmp(path, prefix, len) && (path[len] == '/' || !path[len]);
}

static bool change_is_below(const struct change *c, const char *prefix)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;

	if (!strcmp(prefix, "/"))
		return true;
	if (c->path)
		return path_is_below(c->path, prefix);
	node_path_locked(c->node, &path);
	return path.data && path_is_below(path.data, prefix);
}

static const struct change *waiter_blocking(struct fs *fs, const struct waiter *w)
{
	const struct change *c;

	DL_FOREACH(fs->changes, c) {
		if (c->seq >= w->seq)
			return NULL;
		if (change_is_below(c, w->path))
			return c;
	}
	return NULL;
}

bool change_is_pending_locked(struct fs *fs, const struct node *n)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
	const struct change *c;

	node_path_locked(n, &path);
	DL_FOREACH(fs->changes, c)
		if (change_is_below(c, path.data))
			return true;
	return false;
}

void change_end_locked(struct fs *fs, struct change *c)
{
	struct waiter *w, *tmp;

	if (!c)
		return;
	DL_DELETE(fs->changes, c);
	fs->change_count--;
	if (fs->change_count < PENDING_MAX)
		call_wake_locked(&fs->pending_waiters);
	DL_FOREACH_SAFE(fs->waiters, w, tmp) {
		if (w->blocking != c)
			continue;
		w->blocking = waiter_blocking(fs, w);
		if (!w->blocking) {
			DL_DELETE(fs->waiters, w);
			DL_APPEND(fs->woken, w);
		}
	}
	if (c->node)
		node_unref_locked(fs, c->node);
	free(c->path);
	free(c);
}

uint64_t fs_wait(struct fs *fs, const char *path, fs_wait_fn done, void *arg)
{
	struct waiter *w = calloc(1, sizeof(*w));
	struct change *c, *tmp;
	uint64_t id;

	if (!w || !(w->path = strdup(path))) {
		free(w);
		done(arg);
		return 0;
	}
	fs_lock(fs);
	w->id = id = fs->next_waiter++;
	w->seq = fs->next_seq;
	w->done = done;
	w->arg = arg;
	DL_FOREACH_SAFE(fs->changes, c, tmp) {
		struct content *ct = c->node ? c->node->content : NULL;

		if (ct && ct->settle_due_ms && change_is_below(c, path))
			content_commit_locked(fs, c->node);
	}
	w->blocking = waiter_blocking(fs, w);
	if (w->blocking)
		DL_APPEND(fs->waiters, w);
	else
		DL_APPEND(fs->woken, w);
	fs_unlock(fs);
	return id;
}

bool fs_wait_cancel(struct fs *fs, uint64_t id)
{
	struct waiter *w, *found = NULL;

	fs_lock(fs);
	DL_FOREACH(fs->waiters, w)
		if (w->id == id)
			found = w;
	if (found)
		DL_DELETE(fs->waiters, found);
	fs_unlock(fs);
	if (!found)
		return false;
	free(found->path);
	free(found);
	return true;
}

void fs_pending(struct fs *fs, const char *path, struct fs_pending *out)
{
	const struct change *c;

	memset(out, 0, sizeof(*out));
	fs_lock(fs);
	DL_FOREACH(fs->changes, c) {
		if (!change_is_below(c, path))
			continue;
		out->changes++;
		if (c->node && c->node->content)
			out->bytes += c->node->content->recipe.size_bytes;
	}
	fs_unlock(fs);
}

void failure_add_locked(struct fs *fs, const char *path, const char *error)
{
	struct failure *f;

	log_error("%s: %s", path, error);
	failure_drop_locked(fs, path);
	if (fs->failure_count >= FAILURES_MAX)
		return; /* the log has it */
	f = calloc(1, sizeof(*f));
	if (!f)
		return;
	f->path = strdup(path);
	f->error = strdup(error);
	if (!f->path || !f->error) {
		free(f->path);
		free(f->error);
		free(f);
		return;
	}
	DL_APPEND(fs->failures, f);
	fs->failure_count++;
}

void failure_drop_locked(struct fs *fs, const char *path)
{
	struct failure *f, *tmp;

	DL_FOREACH_SAFE(fs->failures, f, tmp) {
		if (strcmp(f->path, path))
			continue;
		DL_DELETE(fs->failures, f);
		fs->failure_count--;
		free(f->path);
		free(f->error);
		free(f);
	}
}

void failure_forget_locked(struct fs *fs, const struct node *n)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;

	if (!fs->failures)
		return;
	node_path_locked(n, &path);
	if (path.data)
		failure_drop_locked(fs, path.data);
}

unsigned fs_failures(struct fs *fs, const char *path, fs_failure_fn call, void *arg)
{
	const struct failure *f;
	unsigned count = 0;

	fs_lock(fs);
	DL_FOREACH(fs->failures, f) {
		if (!path_is_below(f->path, path))
			continue;
		count++;
		if (call)
			call(arg, f->path, f->error);
	}
	fs_unlock(fs);
	return count;
}
