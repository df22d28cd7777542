/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing a file's bytes: write, copy_file_range, truncate. None of them waits for S3, but for memory, and for a running commit
 * where the recipe may not change under it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/file.h"
#include "fs/keys.h"
#include "s3/base/clock.h"

#define OBJECT_MAX_BYTES ((uint64_t)48 << 40) /* S3: 48.8 TiB */
#define WRITE_BLOCKS_MAX 16

/* The bytes of N changed: its time too, unless parts are on their way whose upload has the earlier time in its metadata. */
static void bytes_changed(struct node *n)
{
	struct content *ct = n->content;

	content_touch_locked(ct);
	ct->mtime_set = false;
	if (!ct->upload)
		n->mtime = clock_realtime();
}

/* C goes on when what N is now is in S3. So is changed what went up as a part, which cannot be taken back: the upload is completed, and
 * then the object that it has become is changed. Writers that go back to the start (archivers, media muxers) do this once. */
static void commit_first(struct call *c, struct node *n, void (*resume)(struct call *c))
{
	struct content *ct = n->content;

	if (!ct->committing)
		content_commit_locked(c->fs, n);
	if (n->content == ct && content_will_commit_locked(ct))
		call_wait_locked(c, &ct->commit_waiters, resume);
	else
		call_finish_locked(c, EIO);
}

static void write_step(struct call *c)
{
	struct fs *fs = c->fs;
	struct handle *h = c->handle;
	struct node *n = h->node;
	struct content *ct = n->content;
	struct block *blocks[WRITE_BLOCKS_MAX];
	const void *data = c->owned_data ? c->owned_data : c->data;
	uint64_t offset = c->offset;
	size_t needs, used = 0;
	int err;

	assert(ct && h->writer);
	if (ct->upload_errno) {
		call_finish_locked(c, content_upload_error_locked(ct));
		return;
	}
	if (!content_may_change_locked(ct)) {
		call_wait_locked(c, &ct->commit_waiters, write_step);
		return;
	}
	if (h->append)
		offset = ct->recipe.size_bytes;
	if (offset + c->size > OBJECT_MAX_BYTES) {
		call_finish_locked(c, EFBIG);
		return;
	}
	needs = recipe_write_needs(&ct->recipe, offset, c->size);
	assert(needs <= WRITE_BLOCKS_MAX);
	c->resume = write_step;
	if (needs && !content_reserve_locked(c, n, (unsigned)needs, blocks))
		return;
	if (offset != ct->recipe.size_bytes)
		ct->appending = false;
	err = recipe_write(&ct->recipe, offset, data, c->size, blocks, needs, &used);
	for (size_t i = used; i < needs; i++)
		block_unref(blocks[i]);
	if (err == -EOPNOTSUPP) {
		commit_first(c, n, write_step);
		return;
	}
	if (err) {
		call_finish_locked(c, -err);
		return;
	}
	bytes_changed(n);
	content_stream_locked(fs, n);
	fs->stats.writes++;
	fs->stats.written_bytes += c->size;
	c->count = c->size;
	call_finish_locked(c, 0);
}

void fs_write(struct call *c)
{
	struct fs *fs = c->fs;

	fs_lock(fs);
	call_begin_locked(fs, c);
	if (c->size)
		write_step(c);
	else
		call_finish_locked(c, 0);
	if (c->queue) {
		/* It waits: the adapter's buffer goes when we return. */
		c->owned_data = malloc(c->size);
		assert(c->owned_data);
		memcpy(c->owned_data, c->data, c->size);
	}
	fs_unlock(fs);
}

/* ------------------------------------------------------------------------------------------- copy_file_range */

/* A copied object takes its Content-Type, user metadata and the like along; attributes are the new file's own. */
static void inherit_headers(struct node *to, const struct node *from)
{
	if (!from->meta_known)
		return;
	s3_headers_clear(&to->headers);
	if (s3_headers_copy(&to->headers, &from->headers) < 0)
		s3_headers_clear(&to->headers);
}

static int copy_range(struct call *c, struct node *from, struct node *to)
{
	struct content *ct = to->content;
	uint64_t size = from->content ? from->content->recipe.size_bytes : from->base ? from->base->size_bytes : 0;
	uint64_t length = c->size;
	int err;

	c->count = 0;
	if (c->offset >= size)
		return 0;
	if (length > size - c->offset)
		length = size - c->offset;
	if (c->offset2 + length > OBJECT_MAX_BYTES)
		return -EFBIG;
	if (from == to && c->offset < c->offset2 + length && c->offset2 < c->offset + length)
		return -EINVAL; /* overlapping: copy_file_range(2) */
	if (from->content)
		err = recipe_copy_range(&ct->recipe, c->offset2, &from->content->recipe, c->offset, length);
	else
		err = recipe_copy(&ct->recipe, c->offset2, from->base, c->offset, length);
	if (err)
		return err; /* EOPNOTSUPP: the kernel copies through memory instead */
	/* The kernel asks for at most 4 GiB at once: the start of the copy speaks for the whole. */
	if (!c->offset && !c->offset2 && ct->recipe.size_bytes == length)
		inherit_headers(to, from);
	c->count = length;
	return 0;
}

/* Does a part of FROM come from an object that is being replaced or deleted? Only FROM's own commit, which is ahead of that, will have
 * it then. */
static bool copies_what_goes(const struct node *from)
{
	const struct recipe *r = &from->content->recipe;

	for (size_t i = 0; i < r->count; i++)
		if (r->extents[i].kind == SCHED_EXTENT_COPY && r->extents[i].source->superseded)
			return true;
	return false;
}

static void copy_range_step(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *from = c->handle->node, *to = c->handle2->node;
	struct content *ct = to->content;
	int err;

	if (!c->handle2->writer || !ct || from->dir) {
		call_finish_locked(c, EBADF);
		return;
	}
	if (ct->upload_errno) {
		call_finish_locked(c, content_upload_error_locked(ct));
		return;
	}
	if (!content_may_change_locked(ct)) {
		call_wait_locked(c, &ct->commit_waiters, copy_range_step);
		return;
	}
	if (from->content && !from->unlinked && copies_what_goes(from)) {
		commit_first(c, from, copy_range_step);
		return;
	}
	err = copy_range(c, from, to);
	if (!err && c->count) {
		bytes_changed(to);
		fs->stats.copy_ranges++;
		fs->stats.copy_range_bytes += c->count;
	}
	call_finish_locked(c, -err);
}

void fs_copy_range(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	copy_range_step(c);
	fs_unlock(c->fs);
}

/* ------------------------------------------------------------------------------------------------- setattr */

static void setattr_finish(struct call *c, struct node *n)
{
	node_stat_locked(c->fs, n, &c->stat);
	call_finish_locked(c, 0);
}

static void setattr_durable(struct call *c)
{
	struct node *n = node_by_ino_locked(c->fs, c->ino);

	if (n && n->content && n->content->committed_generation < c->count && !n->content->failed_errno && !n->unlinked) {
		content_commit_locked(c->fs, n);
		if (n->content && content_will_commit_locked(n->content)) {
			call_wait_locked(c, &n->content->commit_waiters, setattr_durable);
			return;
		}
		call_finish_locked(c, EIO);
		return;
	}
	if (n)
		setattr_finish(c, n);
	else
		call_finish_locked(c, ESTALE);
}

/* Applies what differs. True when something did. */
static bool apply_attributes(struct call *c, struct node *n)
{
	bool changed = false;

	if ((c->attr_mask & FS_SET_MODE) && n->kind != NODE_SYMLINK && n->mode != (c->attr.st_mode & 01777)) {
		n->mode = c->attr.st_mode & 01777;
		changed = true;
	}
	if ((c->attr_mask & FS_SET_UID) && n->uid != c->attr.st_uid) {
		n->uid = c->attr.st_uid;
		changed = true;
	}
	if ((c->attr_mask & FS_SET_GID) && n->gid != c->attr.st_gid) {
		n->gid = c->attr.st_gid;
		changed = true;
	}
	if ((c->attr_mask & FS_SET_MTIME) &&
	    (n->mtime.tv_sec != c->attr.st_mtim.tv_sec || n->mtime.tv_nsec != c->attr.st_mtim.tv_nsec)) {
		n->mtime = c->attr.st_mtim;
		if (n->content)
			n->content->mtime_set = true;
		changed = true;
	}
	return changed;
}

/* What changed on a file becomes part of a commit that is still to come, or is one of its own. */
static void setattr_commit(struct call *c, struct node *n)
{
	struct fs *fs = c->fs;
	struct content *ct = n->content;
	bool folded = ct->writers || (ct->settle_due_ms && key_name_is_temporary(n->name));

	if (folded || fs->config->writeback == WRITEBACK_ALL) {
		if (!ct->writers)
			content_settle_locked(fs, n, content_settle_time_ms(n));
		setattr_finish(c, n);
		return;
	}
	c->count = ct->generation;
	setattr_durable(c);
}

static int truncate_file(struct call *c, struct node *n)
{
	struct content *ct = n->content;
	uint64_t size = (uint64_t)c->attr.st_size;
	int err;

	if (size == ct->recipe.size_bytes)
		return 0;
	if (size > OBJECT_MAX_BYTES)
		return -EFBIG;
	if (!size && ct->upload && !ct->parts_running) {
		content_end_upload_locked(c->fs, ct);
		recipe_clear(&ct->recipe);
	}
	err = recipe_truncate(&ct->recipe, size);
	if (!err)
		bytes_changed(n);
	return err;
}

static void setattr_step(struct call *c)
{
	struct fs *fs = c->fs;
	struct node *n = node_by_ino_locked(fs, c->ino);
	bool changed;
	int err = 0;

	if (!n) {
		call_finish_locked(c, ESTALE);
		return;
	}
	if (!node_ensure_locked(c, n, setattr_step))
		return;
	if (fs_is_readonly_locked(fs, n)) {
		call_finish_locked(c, EROFS);
		return;
	}
	if (n->dir) {
		if (n->is_bucket || !apply_attributes(c, n)) {
			setattr_finish(c, n);
			return;
		}
		marker_commit_locked(fs, n);
		if (fs->config->writeback == WRITEBACK_ALL)
			setattr_finish(c, n);
		else
			marker_wait_locked(c, n);
		return;
	}
	if (n->content && !content_may_change_locked(n->content) && (c->attr_mask & FS_SET_SIZE)) {
		call_wait_locked(c, &n->content->commit_waiters, setattr_step);
		return;
	}
	if (!content_get_locked(fs, n)) {
		call_finish_locked(c, ENOMEM);
		return;
	}
	if (c->attr_mask & FS_SET_SIZE)
		err = truncate_file(c, n);
	if (err == -EOPNOTSUPP) {
		commit_first(c, n, setattr_step);
		return;
	}
	if (err) {
		content_put_locked(fs, n);
		call_finish_locked(c, -err);
		return;
	}
	changed = apply_attributes(c, n);
	if (changed)
		content_touch_locked(n->content);
	if (n->unlinked || !content_is_dirty_locked(n->content)) {
		content_put_locked(fs, n);
		setattr_finish(c, n);
		return;
	}
	setattr_commit(c, n);
}

void fs_setattr(struct call *c)
{
	fs_lock(c->fs);
	call_begin_locked(c->fs, c);
	setattr_step(c);
	fs_unlock(c->fs);
}
