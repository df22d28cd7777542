/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open, create, close, fsync. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/file.h"
#include "fs/keys.h"
#include "fs/names.h"
#include "s3/base/cleanup.h"
#include "s3/base/clock.h"

static bool wants_write(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static void truncate_at_open(struct fs *fs, struct node *n)
{
	struct content *ct = n->content;

	if (!ct->parts_running)
		content_end_upload_locked(fs, ct);
	recipe_clear(&ct->recipe);
	content_touch_locked(ct);
	n->mtime = clock_realtime();
}

/* Makes the handle of an open that has been allowed. 0 or a positive errno. */
static int open_handle(struct call *c, struct node *n)
{
	struct fs *fs = c->fs;
	struct handle *h;

	if (wants_write(c->flags) && !content_get_locked(fs, n))
		return ENOMEM;
	h = handle_new_locked(fs, n);
	if (!h)
		return ENOMEM;
	if (wants_write(c->flags)) {
		h->writer = true;
		h->append = c->flags & O_APPEND;
		n->content->writers++;
		if (c->flags & O_TRUNC)
			truncate_at_open(fs, n);
	}
	c->handle = h;
	/* Whoever only writes does not need the page cache, which costs a GETXATTR for every write. Read-write opens keep it:
	 * mmap(MAP_SHARED) needs it. */
	c->direct_io = (c->flags & O_ACCMODE) == O_WRONLY;
	if (!n->content && n->base) {
		/* Pages of the same object stay, and the open does not wait for those that are still being read. */
		c->keep_cache = n->cached == n->base;
		sched_source_unref(n->cached);
		n->cached = sched_source_ref(n->base);
	}
	return 0;
}

static void open_step(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n = node_by_ino_locked(fs, c->ino);
	struct content *ct;

	if (!n || n->dir) {
		call_finish_locked(c, n ? EISDIR : ESTALE);
		return;
	}
	if (n->kind == NODE_SYMLINK) {
		call_finish_locked(c, ELOOP);
		return;
	}
	ct = n->content;
	if (wants_write(c->flags) && fs_is_readonly_locked(fs, n)) {
		call_finish_locked(c, EROFS);
		return;
	}
	if (ct && ct->failed_errno && !(c->flags & O_TRUNC)) {
		call_finish_locked(c, EIO);
		return;
	}
	if (!(ct && ct->failed_errno) && !node_ensure_locked(c, n, open_step))
		return;
	if (ct && wants_write(c->flags) && !content_may_change_locked(ct)) {
		call_wait_locked(c, &ct->commit_waiters, open_step);
		return;
	}
	call_finish_locked(c, open_handle(c, n));
}

void fs_open(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	open_step(c);
	fs_unlock(c->fs);
}

/* A new file, known only here until its commit. */
static int create_node(struct call *c, struct node *dir, struct node **out)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct fs *fs = c->fs;
	struct node *n = node_new_locked(fs, NODE_FILE, c->name);
	int err;

	if (!n)
		return ENOMEM;
	node_attach_locked(dir, n);
	node_ref_locked(n);
	n->uid = c->uid;
	n->gid = c->gid;
	n->mode = c->mode & 01777;
	n->mtime = clock_realtime();
	n->meta_known = true;
	n->listing_round = dir->dir->listing_round;
	err = -node_key_locked(fs, n, &key);
	if (!err && !content_get_locked(fs, n))
		err = ENOMEM;
	if (!err)
		content_touch_locked(n->content);
	else
		node_detach_locked(fs, n);
	*out = n;
	if (err)
		node_unref_locked(fs, n);
	return err;
}

static int create_check(struct call *c, struct node *dir)
{
	char piece[KEY_NAME_MAX + 1];
	bool object_only;

	if (!dir)
		return ESTALE;
	if (!dir->dir)
		return ENOTDIR;
	if (strlen(c->name) > KEY_NAME_MAX)
		return ENAMETOOLONG;
	if (fs_is_readonly_locked(c->fs, dir))
		return EROFS;
	if (key_name_to_piece(c->name, piece, &object_only) < 0)
		return EINVAL;
	return 0;
}

void fs_create(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *dir, *n;
	int err;

	fs_lock(fs);
	call_begin_locked(fs, c);
	dir = node_by_ino_locked(fs, c->ino);
	err = create_check(c, dir);
	if (err) {
		call_finish_locked(c, err);
		goto out;
	}
	n = node_child_locked(dir, c->name);
	if (n && ((c->flags & O_EXCL) || n->dir)) {
		call_finish_locked(c, n->dir ? EISDIR : EEXIST);
		goto out;
	}
	if (n) {
		node_ref_locked(n);
		c->flags |= O_TRUNC;
	} else {
		err = create_node(c, dir, &n);
	}
	if (!err)
		err = open_handle(c, n);
	if (err)
		call_finish_locked(c, err);
	else
		call_entry_locked(c, n);
	if (n && !err)
		node_unref_locked(fs, n);
out:
	fs_unlock(fs);
}

/* ------------------------------------------------------------------------------------------- close, fsync */

/* Is the closer a process that a signal is ending? Nobody waits for its answer then, and waiting would only keep it from dying.
 * proc(5), /proc/PID/stat: field 9 holds the kernel's task flags, 52 the exit code (0 where we may not look). */
static bool is_being_killed(pid_t pid)
{
	static const unsigned long pf_exiting = 0x4; /* include/linux/sched.h */
	CLEANUP_FCLOSE FILE *f = NULL;
	char path[64], line[2048], *p;
	unsigned long flags = 0;
	unsigned exit_code = 0;

	if (pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f) || !(p = strrchr(line, ')')))
		return false;
	for (int field = 3; (p = strchr(p + 1, ' ')); field++) {
		if (field == 9)
			flags = strtoul(p + 1, NULL, 10);
		else if (field == 52)
			exit_code = (unsigned)strtoul(p + 1, NULL, 10);
	}
	return (flags & pf_exiting) && (exit_code & 0x7f);
}

/* Ctrl-C on a program that waits in close(): with writeback=none it was told nothing, so the copy ends too. */
static void flush_interrupted(struct call *c)
{
	struct node *n = node_by_ino_locked(c->fs, c->ino);
	struct content *ct = n ? n->content : NULL;

	if (!ct || c->queue != &ct->commit_waiters || ct->commit_waiters->next)
		return;
	if (ct->committing) {
		ct->told = true;
		sched_cancel(c->fs->sched, ct->commit_id);
	}
}

static void flush_step(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n = c->handle->node;
	struct content *ct = n->content;

	if (!c->handle->writer || !ct) {
		call_finish_locked(c, 0);
		return;
	}
	if (ct->failed_errno || ct->upload_errno) {
		call_finish_locked(c, ct->upload_errno ? content_upload_error_locked(ct) : ct->failed_errno);
		return;
	}
	if (!content_is_dirty_locked(ct) || n->unlinked || is_being_killed(c->pid)) {
		call_finish_locked(c, 0);
		return;
	}
	/* A temporary name gets another one soon; what is committed then is the final object, once. */
	if (fs->config->writeback == WRITEBACK_ALL || key_name_is_temporary(n->name)) {
		if (fs->change_count >= PENDING_MAX)
			call_wait_locked(c, &fs->pending_waiters, flush_step);
		else
			call_finish_locked(c, 0);
		return;
	}
	c->interrupt = flush_interrupted;
	content_wait_locked(c, n);
}

void fs_flush(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	flush_step(c);
	fs_unlock(c->fs);
}

void fs_fsync(struct call *c)
{
	struct node *n = c->handle->node;
	struct content *ct;

	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	ct = n->content;
	if (ct && (ct->failed_errno || ct->upload_errno))
		call_finish_locked(c, ct->upload_errno ? content_upload_error_locked(ct) : ct->failed_errno);
	else if (n->unlinked)
		call_finish_locked(c, 0);
	else
		content_wait_locked(c, n);
	fs_unlock(c->fs);
}

void fs_release(struct call *c)
{
	struct fs *fs = c->fs;
	struct handle *h = c->handle;
	struct node *n = h->node;
	struct content *ct;

	fs_lock(fs);
	call_begin_locked(fs, c);
	ct = n->content;
	if (h->writer) {
		assert(ct && ct->writers);
		h->writer = false;
		ct->writers--;
		if (!ct->writers) {
			content_release_tickets_locked(fs, ct);
			if (n->unlinked)
				content_discard_locked(fs, n);
			else
				content_settle_locked(fs, n, content_settle_time_ms(n));
		}
		content_put_locked(fs, n);
	}
	names_release_locked(fs, n);
	call_finish_locked(c, 0);
	fs_unlock(fs);
	handle_put(fs, h);
}
