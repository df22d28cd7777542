/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unlink, mkdir, rmdir, symlinks, and the rename of files. */
#include "fs/names.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h> /* RENAME_NOREPLACE */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/content.h"
#include "fs/file.h"
#include "fs/keys.h"
#include "s3/base/clock.h"

/* The directory of a call and, when WANTED, the child it names; or finishes (or parks) the call and returns NULL. */
static struct node *dir_of_call(struct call *c, uint64_t ino)
{
	struct node *dir = node_by_ino_locked(c->fs, ino);
	int err = !dir ? ESTALE : !dir->dir ? ENOTDIR : fs_is_readonly_locked(c->fs, dir) ? EROFS : 0;

	if (!err)
		return dir;
	call_finish_locked(c, err);
	return NULL;
}

static int check_new_name(const char *name)
{
	char piece[KEY_NAME_MAX + 1];
	bool object_only;

	if (strlen(name) > KEY_NAME_MAX)
		return ENAMETOOLONG;
	return key_name_to_piece(name, piece, &object_only) < 0 ? EINVAL : 0;
}

/* ------------------------------------------------------------------------------------------------- unlink */

/* N, which is detached, was renamed and that is not in S3 yet: the object is still under its old key. */
static void origin_delete(struct fs *fs, struct node *n)
{
	const struct content *ct = n->content;

	if (ct && ct->origin_key)
		object_delete_locked(fs, ct->origin_dir, ct->origin_name, ct->origin_bucket, ct->origin_key, NULL, NULL);
}

/* N loses its name. Its object goes too: now, or with the last handle. REPLY is finished when that is settled, as the
 * durability mode says. */
static void unlink_node(struct fs *fs, struct node *n, struct call *reply)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct node *dir = n->parent;
	bool in_s3 = n->base || (n->content && (n->content->committing || n->content->covers));
	unsigned bucket = n->bucket;

	if (node_key_locked(fs, n, &key) < 0)
		in_s3 = false;
	if (n->base)
		n->base->superseded = true;
	node_ref_locked(n);
	node_ref_locked(dir);
	n->unlinked = true;
	node_taken_from_locked(fs, dir);
	node_detach_locked(fs, n);
	origin_delete(fs, n);
	if (in_s3 && n->handles) {
		n->delete_key = strbuf_detach(&key);
		hidden_add_locked(fs, bucket, n->delete_key);
		in_s3 = false;
	}
	if (!n->content || !n->content->writers)
		content_discard_locked(fs, n);
	if (in_s3)
		object_delete_locked(fs, dir, n->name, bucket, key.data, NULL,
				     fs->config->writeback == WRITEBACK_ALL ? NULL : reply);
	if (reply && (!in_s3 || fs->config->writeback == WRITEBACK_ALL))
		call_finish_locked(reply, 0);
	if (n->delete_key)
		n->delete_dir = dir; /* keeps the reference */
	else
		node_unref_locked(fs, dir);
	node_unref_locked(fs, n);
}

void names_release_locked(struct fs *fs, struct node *n)
{
	struct node *dir = n->delete_dir;

	assert(n->handles);
	if (--n->handles || !n->delete_key)
		return;
	object_delete_locked(fs, dir, n->name, n->bucket, n->delete_key, NULL, NULL);
	hidden_end_locked(fs, n->bucket, n->delete_key); /* the delete hides it by itself */
	free(n->delete_key);
	n->delete_key = NULL;
	n->delete_dir = NULL;
	node_unref_locked(fs, dir);
}

static void unlink_step(struct call *c)
{
	struct node *dir = dir_of_call(c, c->ino), *n;

	if (!dir)
		return;
	n = node_child_locked(dir, c->name);
	if (!n) {
		call_finish_locked(c, ENOENT);
		return;
	}
	if (n->dir) {
		call_finish_locked(c, EISDIR);
		return;
	}
	if (node_is_moving_locked(c->fs, n)) {
		call_finish_locked(c, EBUSY); /* its object has been, or is being, copied to where it will be */
		return;
	}
	failure_forget_locked(c->fs, n);
	unlink_node(c->fs, n, c);
}

void fs_unlink(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	unlink_step(c);
	fs_unlock(c->fs);
}

/* -------------------------------------------------------------------------------------------- directories */

int directory_is_empty_locked(struct call *c, struct node *dir, void (*resume)(struct call *c))
{
	struct fs *fs = c->fs;
	int err;

	if (dir->dir->children && (dir->dir->listing == LISTING_PARTIAL || listing_is_fresh_locked(fs, dir, c->start_ms)))
		return -ENOTEMPTY;
	for (const struct node *n = dir->dir->children; n; n = n->hh_child.next)
		if (node_is_ours_locked(n))
			return -ENOTEMPTY;
	if (dir->dir->listing == LISTING_COMPLETE && listing_is_fresh_locked(fs, dir, c->start_ms))
		return 0;
	if (dir->dir->listing_errno && c->step) {
		err = dir->dir->listing_errno;
		return -err;
	}
	c->step = 1;
	err = listing_start_locked(fs, dir, false);
	if (err)
		return err;
	call_wait_locked(c, &dir->dir->waiters, resume);
	return -EAGAIN;
}

/* An object that was deleted while a program has it open stays until that closes it, and a directory's marker with it. */
static bool has_open_below(const struct fs *fs, unsigned bucket, const char *key)
{
	const struct handle *h;

	DL_FOREACH(fs->handles, h)
		if (h->node->delete_key && h->node->bucket == bucket && !strncmp(h->node->delete_key, key, strlen(key)))
			return true;
	return false;
}

static void rmdir_step(struct call *c)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct fs *fs = c->fs;
	struct node *dir = dir_of_call(c, c->ino), *n;
	bool wait = fs->config->writeback != WRITEBACK_ALL;
	int err;

	if (!dir)
		return;
	n = node_child_locked(dir, c->name);
	err = !n ? ENOENT : !n->dir ? ENOTDIR : n->is_bucket || node_is_moving_locked(fs, n) ? EBUSY : 0;
	if (!err)
		err = -directory_is_empty_locked(c, n, rmdir_step);
	if (!err)
		err = -node_key_locked(fs, n, &key);
	if (err) {
		if (err != EAGAIN)
			call_finish_locked(c, err);
		return;
	}
	node_ref_locked(n);
	node_ref_locked(dir);
	n->unlinked = true;
	node_taken_from_locked(fs, dir);
	node_detach_locked(fs, n);
	wait = wait && !has_open_below(fs, dir->bucket, key.data);
	object_delete_locked(fs, dir, n->name, dir->bucket, key.data, NULL, wait ? c : NULL);
	if (!wait)
		call_finish_locked(c, 0);
	node_unref_locked(fs, n);
	node_unref_locked(fs, dir);
}

void fs_rmdir(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	rmdir_step(c);
	fs_unlock(c->fs);
}

/* A new node for mkdir and symlink, attached, with one reference; NULL: the call was finished. */
static struct node *make_node(struct call *c, enum node_kind kind)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct fs *fs = c->fs;
	struct node *dir = dir_of_call(c, c->ino), *n;
	int err;

	if (!dir)
		return NULL;
	err = node_child_locked(dir, c->name) ? EEXIST : check_new_name(c->name);
	n = err ? NULL : node_new_locked(fs, kind, c->name);
	if (!n) {
		call_finish_locked(c, err ? err : ENOMEM);
		return NULL;
	}
	node_attach_locked(dir, n);
	node_ref_locked(n);
	err = -node_key_locked(fs, n, &key);
	if (err) {
		node_detach_locked(fs, n);
		node_unref_locked(fs, n);
		call_finish_locked(c, err);
		return NULL;
	}
	n->uid = c->uid;
	n->gid = c->gid;
	n->mode = kind == NODE_SYMLINK ? 0777 : c->mode & 01777;
	n->mtime = clock_realtime();
	n->meta_known = true;
	n->listing_round = dir->dir->listing_round;
	return n;
}

static void mkdir_durable(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n = c->node;
	int err;

	if (n->change) {
		call_wait_locked(c, &n->waiters, mkdir_durable);
		if (!c->queue)
			node_unref_locked(fs, n);
		return;
	}
	err = n->marker_errno;
	if (err) {
		n->unlinked = true;
		node_detach_locked(fs, n);
		call_finish_locked(c, err);
	} else {
		call_entry_locked(c, n);
	}
	node_unref_locked(fs, n);
}

static void mkdir_interrupted(struct call *c)
{
	if (c->queue)
		node_unref_locked(c->fs, c->node);
}

void fs_mkdir(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n;

	fs_lock(fs);
	call_begin_locked(fs, c);
	n = make_node(c, NODE_DIRECTORY);
	if (n) {
		/* Nobody else's keys are below a name that was free: it is known to be empty. */
		n->dir->listing = LISTING_COMPLETE;
		n->dir->listed_ms = fs_now_ms(fs);
		n->head_ms = n->dir->listed_ms;
		marker_commit_locked(fs, n);
		if (fs->config->writeback == WRITEBACK_ALL) {
			call_entry_locked(c, n);
			node_unref_locked(fs, n);
		} else {
			c->node = n;
			c->interrupt = mkdir_interrupted;
			mkdir_durable(c);
		}
	}
	fs_unlock(fs);
}

/* ------------------------------------------------------------------------------------------------ symlinks */

static void symlink_durable(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n = c->node;

	if (n->content && content_will_commit_locked(n->content)) {
		call_wait_locked(c, &n->content->commit_waiters, symlink_durable);
		if (!c->queue)
			node_unref_locked(fs, n);
		return;
	}
	if (n->base)
		call_entry_locked(c, n);
	else
		call_finish_locked(c, EIO);
	node_unref_locked(fs, n);
}

static int symlink_content(struct fs *fs, struct node *n, const char *target)
{
	struct content *ct = content_get_locked(fs, n);
	size_t len = strlen(target), used;
	struct block *block = block_new(NULL);
	int err;

	if (!ct || !block) {
		block_unref(block);
		return ENOMEM;
	}
	err = recipe_write(&ct->recipe, 0, target, len, &block, 1, &used);
	if (err || !used)
		block_unref(block);
	n->target = strdup(target);
	content_touch_locked(ct);
	return -err;
}

void fs_symlink(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n;
	int err;

	fs_lock(fs);
	call_begin_locked(fs, c);
	n = make_node(c, NODE_SYMLINK);
	if (n) {
		err = symlink_content(fs, n, c->text);
		if (err) {
			content_discard_locked(fs, n);
			node_detach_locked(fs, n);
			call_finish_locked(c, err);
			node_unref_locked(fs, n);
		} else if (fs->config->writeback == WRITEBACK_ALL || key_name_is_temporary(n->name)) {
			content_settle_locked(fs, n, content_settle_time_ms(n));
			call_entry_locked(c, n);
			node_unref_locked(fs, n);
		} else {
			content_commit_locked(fs, n);
			c->node = n;
			c->interrupt = mkdir_interrupted;
			symlink_durable(c);
		}
	}
	fs_unlock(fs);
}

struct readlink {
	struct fs *fs;
	struct node *node; /* one reference */
	struct strbuf text;
	struct call *waiters;
};

static void readlink_data(void *arg, const void *data, size_t len)
{
	struct readlink *r = arg;

	strbuf_add(&r->text, data, len);
}

static void readlink_step(struct call *c);

static void readlink_done(void *arg, struct s3_request *req)
{
	struct readlink *r = arg;
	struct fs *fs = r->fs;
	int err = s3_error_errno(req->result.error);
	struct call *c;

	fs_lock(fs);
	if (!err && !r->node->target)
		r->node->target = strbuf_detach(&r->text);
	c = r->waiters;
	if (c) {
		r->waiters = NULL;
		c->queue = NULL;
		if (err)
			call_finish_locked(c, err);
		else
			readlink_step(c);
	}
	node_unref_locked(fs, r->node);
	fs_unlock(fs);
	strbuf_free(&r->text);
	s3_request_free(req);
	free(r);
}

static void readlink_step(struct call *c)
{
	static const uint64_t target_max = 4096; /* PATH_MAX: a longer one could not be followed */
	struct fs *fs = c->fs;
	struct node *n = node_by_ino_locked(fs, c->ino);
	struct s3_request *req;
	struct readlink *r;

	if (!n || n->kind != NODE_SYMLINK) {
		call_finish_locked(c, n ? EINVAL : ESTALE);
		return;
	}
	if (!node_ensure_locked(c, n, readlink_step))
		return;
	if (n->target) {
		c->text = strdup(n->target);
		call_finish_locked(c, c->text ? 0 : ENOMEM);
		return;
	}
	if (!n->base || n->base->size_bytes >= target_max) {
		call_finish_locked(c, EIO);
		return;
	}
	r = calloc(1, sizeof(*r));
	req = s3_request_new(S3_OP_GET, n->base->bucket, n->base->key);
	assert(r && req);
	r->fs = fs;
	r->node = n;
	node_ref_locked(n);
	req->if_match = strdup(n->base->etag);
	req->on_data = readlink_data;
	req->on_data_arg = r;
	call_wait_locked(c, &r->waiters, readlink_step);
	sched_request(fs->sched, req, SCHED_INTERACTIVE, readlink_done, r);
}

void fs_readlink(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	readlink_step(c);
	fs_unlock(c->fs);
}

/* ------------------------------------------------------------------------------------------------- rename */

/* N's object will be made under its new name and taken from the old one. Not a byte passes through here. */
static int rename_content(struct fs *fs, struct node *n, struct node *from_dir)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct content *ct = content_get_locked(fs, n);
	int err;

	if (!ct)
		return -ENOMEM;
	if (!ct->committing && !n->base)
		return 0; /* nothing is in S3 under the old name */
	if (ct->origin_key)
		return 0; /* renamed twice: the object is still where it was at first */
	err = node_key_locked(fs, n, &key);
	if (!err)
		err = content_set_origin_locked(fs, n, from_dir, n->name, n->bucket, key.data);
	return err;
}

/* N leaves its place in DIR. When its key still holds what N was to replace, that goes. */
static void leave_name(struct fs *fs, struct node *n, struct node *dir)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	bool delete = n->content->covers && !node_key_locked(fs, n, &key);

	node_taken_from_locked(fs, dir);
	node_detach_locked(fs, n);
	if (delete)
		object_delete_locked(fs, dir, n->name, n->bucket, key.data, NULL, NULL);
	n->content->covers = false;
}

/* Takes TARGET's name away. Is there an object that goes only when another commit replaces it? Who has it open keeps what it read. */
static bool replace_target(struct fs *fs, struct node *target)
{
	struct content *ct = target->content;
	bool covers = target->base || (ct && (ct->committing || ct->covers));

	failure_forget_locked(fs, target);
	if (target->base)
		target->base->superseded = true;
	node_ref_locked(target);
	target->unlinked = true;
	node_detach_locked(fs, target);
	origin_delete(fs, target);
	if (!ct || !ct->writers)
		content_discard_locked(fs, target);
	node_unref_locked(fs, target);
	return covers;
}

static void rename_file(struct call *c, struct node *n, struct node *to_dir)
{
	struct fs *fs = c->fs;
	struct node *from_dir = n->parent;
	struct node *target = node_child_locked(to_dir, c->name2);
	int err = rename_content(fs, n, from_dir);
	bool covers = false;

	if (err) {
		content_put_locked(fs, n);
		call_finish_locked(c, -err);
		return;
	}
	node_ref_locked(n);
	node_ref_locked(from_dir);
	if (target)
		covers = replace_target(fs, target);
	failure_forget_locked(fs, n);
	leave_name(fs, n, from_dir);
	n->content->covers = covers;
	err = node_rename_locked(n, c->name2);
	node_attach_locked(to_dir, n);
	n->listing_round = to_dir->dir->listing_round;
	if (!err) {
		content_touch_locked(n->content);
		if (!n->content->writers)
			content_settle_locked(fs, n, key_name_is_temporary(n->name) ? SETTLE_TEMPORARY_MS : 0);
	}
	call_finish_locked(c, -err);
	node_unref_locked(fs, from_dir);
	node_unref_locked(fs, n);
}

static void rename_step(struct call *c);

/* Rules of rename(2) that need the target. 0, a positive errno, or EAGAIN when the call waits. */
static int rename_check(struct call *c, struct node *n, struct node *to_dir)
{
	CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
	struct node *target = node_child_locked(to_dir, c->name2);
	int err;

	if (n->is_bucket || (target && target->is_bucket))
		return EBUSY;
	err = check_new_name(c->name2);
	if (err)
		return err;
	err = -node_key_locked(c->fs, to_dir, &key);
	if (err)
		return err;
	if (key.len + strlen(c->name2) + !!n->dir > KEY_MAX_BYTES)
		return ENAMETOOLONG;
	if (target && (c->flags & RENAME_NOREPLACE))
		return EEXIST;
	if (c->flags & ~RENAME_NOREPLACE)
		return EINVAL;
	if (n->bucket != to_dir->bucket && (n->dir || c->fs->config->writeback != WRITEBACK_ALL))
		return EXDEV; /* mv copies then, through copy_file_range */
	if (n->dir && node_is_below_locked(to_dir, n))
		return EINVAL;
	if (node_is_moving_locked(c->fs, n) || (n->dir && node_is_moving_locked(c->fs, to_dir)))
		return EBUSY;
	if (target && target->dir && !n->dir)
		return EISDIR;
	if (target && !target->dir && n->dir)
		return ENOTDIR;
	if (target && target->dir)
		return -directory_is_empty_locked(c, target, rename_step);
	return 0;
}

static void rename_step(struct call *c)
{
	struct node *dir = dir_of_call(c, c->ino), *to_dir, *n;
	int err;

	if (!dir)
		return;
	to_dir = dir_of_call(c, c->ino2);
	if (!to_dir)
		return;
	n = node_child_locked(dir, c->name);
	if (!n) {
		call_finish_locked(c, ENOENT);
		return;
	}
	if (dir == to_dir && !strcmp(c->name, c->name2)) {
		call_finish_locked(c, 0);
		return;
	}
	err = rename_check(c, n, to_dir);
	if (err == EAGAIN)
		return;
	if (err)
		call_finish_locked(c, err);
	else if (n->dir)
		rename_directory_locked(c, n, to_dir);
	else
		rename_file(c, n, to_dir);
}

void fs_rename(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	rename_step(c);
	fs_unlock(c->fs);
}
