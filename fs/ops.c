/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From FUSE requests to calls and back. Receive threads come in here; answers go out on whatever thread finishes the call. */
#include "fs/ops.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <utlist.h>

#include "fs/file.h"
#include "fs/lookup.h"
#include "fs/names.h"
#include "fs/ops_control.h"
#include "fs/readdir.h"
#include "fs/session.h"
#include "s3/base/clock.h"

/* ------------------------------------------------------------------------------------------------- calls */

static void on_interrupt(fuse_req_t req, void *data)
{
	fs_interrupt(fuse_req_userdata(req), (uint64_t)(uintptr_t)data);
}

static struct call *call_new(fuse_req_t req, void (*finish)(struct call *c, int err))
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct call *c = calloc(1, sizeof(*c));

	if (!c) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	c->fs = fuse_req_userdata(req);
	c->request = req;
	c->finish = finish;
	c->uid = ctx->uid;
	c->gid = ctx->gid;
	c->pid = ctx->pid;
	c->id = atomic_fetch_add(&c->fs->next_call, 1);
	fuse_req_interrupt_func(req, on_interrupt, (void *)(uintptr_t)c->id);
	return c;
}

static void call_free(struct call *c)
{
	free(c->name);
	free(c->name2);
	free(c->text);
	free(c->owned_data);
	free(c);
}

static void finish_err(struct call *c, int err)
{
	fuse_reply_err(c->request, err);
	call_free(c);
}

static void make_entry(const struct call *c, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = c->stat.st_ino;
	e->attr = c->stat;
	e->attr_timeout = e->entry_timeout = (double)c->entry_ttl_ms / 1000;
}

static void finish_entry(struct call *c, int err)
{
	struct fuse_entry_param e;

	if (err) {
		finish_err(c, err);
		return;
	}
	make_entry(c, &e);
	/* The kernel did not take it (interrupted): the lookup does not count. */
	if (fuse_reply_entry(c->request, &e) == -ENOENT)
		fs_forget(c->fs, e.ino, 1);
	call_free(c);
}

static void finish_attr(struct call *c, int err)
{
	if (err)
		fuse_reply_err(c->request, err);
	else
		fuse_reply_attr(c->request, &c->stat, (double)KERNEL_TTL_MS / 1000);
	call_free(c);
}

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/* ------------------------------------------------------------------------------------------------- names */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct call *c;

	if (control_op_lookup(req, parent, name))
		return;
	c = call_new(req, finish_entry);
	if (!c)
		return;
	c->ino = parent;
	c->name = strdup(name);
	fs_lookup(c);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	fs_forget(fuse_req_userdata(req), ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		fs_forget(fuse_req_userdata(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct call *c;

	if (control_op_getattr(req, ino, fi))
		return;
	c = call_new(req, finish_attr);
	if (!c)
		return;
	c->ino = ino;
	fs_getattr(c);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct call *c;

	(void)fi;
	if (control_op_setattr(req, ino, to_set))
		return;
	c = call_new(req, finish_attr);
	if (!c)
		return;
	c->ino = ino;
	c->attr = *attr;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		c->attr.st_mtim = clock_realtime();
	c->attr_mask = (to_set & FUSE_SET_ATTR_MODE ? FS_SET_MODE : 0) | (to_set & FUSE_SET_ATTR_UID ? FS_SET_UID : 0) |
		       (to_set & FUSE_SET_ATTR_GID ? FS_SET_GID : 0) | (to_set & FUSE_SET_ATTR_SIZE ? FS_SET_SIZE : 0) |
		       (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW) ? FS_SET_MTIME : 0);
	fs_setattr(c);
}

static void name_op(fuse_req_t req, fuse_ino_t parent, const char *name, void (*finish)(struct call *c, int err),
		    mode_t mode, const char *text, void (*op)(struct call *c))
{
	struct call *c;

	if (control_op_refuse_change(req, parent, name))
		return;
	c = call_new(req, finish);
	if (!c)
		return;
	c->ino = parent;
	c->name = strdup(name);
	c->mode = mode;
	c->text = text ? strdup(text) : NULL;
	op(c);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	name_op(req, parent, name, finish_err, 0, NULL, fs_unlink);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	name_op(req, parent, name, finish_err, 0, NULL, fs_rmdir);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	name_op(req, parent, name, finish_entry, mode, NULL, fs_mkdir);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	name_op(req, parent, name, finish_entry, 0, target, fs_symlink);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM); /* link(2): the file system does not support hard links; git renames instead */
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)rdev;
	fuse_reply_err(req, EPERM); /* devices, pipes and sockets are no objects */
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
		      unsigned flags)
{
	struct call *c;

	if (control_op_refuse_change(req, parent, name) || control_op_refuse_change(req, to_parent, to_name))
		return;
	c = call_new(req, finish_err);
	if (!c)
		return;
	c->ino = parent;
	c->name = strdup(name);
	c->ino2 = to_parent;
	c->name2 = strdup(to_name);
	c->flags = (int)flags;
	fs_rename(c);
}

static void finish_readlink(struct call *c, int err)
{
	if (err)
		fuse_reply_err(c->request, err);
	else
		fuse_reply_readlink(c->request, c->text);
	call_free(c);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct call *c = call_new(req, finish_readlink);

	if (!c)
		return;
	c->ino = ino;
	fs_readlink(c);
}

/* ------------------------------------------------------------------------------------------------- files */

static void fill_file_info(const struct call *c, struct fuse_file_info *fi)
{
	memset(fi, 0, sizeof(*fi));
	fi->fh = (uint64_t)(uintptr_t)c->handle;
	fi->direct_io = c->direct_io;
	fi->keep_cache = c->keep_cache;
	/* A reader's close has nothing to say. */
	fi->noflush = !c->handle->writer;
}

/* The kernel did not take the answer to an open: nobody will release the handle. */
static void finish_orphan(struct call *c, int err)
{
	(void)err;
	call_free(c);
}

static void release_orphan(struct call *c)
{
	struct call *r = calloc(1, sizeof(*r));

	if (!r)
		return;
	r->fs = c->fs;
	r->finish = finish_orphan;
	r->handle = c->handle;
	r->id = atomic_fetch_add(&c->fs->next_call, 1);
	if (c->handle->node->dir)
		fs_releasedir(r);
	else
		fs_release(r);
}

static void finish_open(struct call *c, int err)
{
	struct fuse_file_info fi;

	if (err) {
		finish_err(c, err);
		return;
	}
	fill_file_info(c, &fi);
	if (fuse_reply_open(c->request, &fi) == -ENOENT)
		release_orphan(c);
	call_free(c);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct call *c;

	if (control_op_open(req, ino, fi))
		return;
	c = call_new(req, finish_open);
	if (!c)
		return;
	c->ino = ino;
	c->flags = fi->flags;
	fs_open(c);
}

static void finish_create(struct call *c, int err)
{
	struct fuse_entry_param e;
	struct fuse_file_info fi;

	if (err) {
		finish_err(c, err);
		return;
	}
	make_entry(c, &e);
	fill_file_info(c, &fi);
	if (fuse_reply_create(c->request, &e, &fi) == -ENOENT) {
		fs_forget(c->fs, e.ino, 1);
		release_orphan(c);
	}
	call_free(c);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct call *c;

	if (control_op_refuse_change(req, parent, name))
		return;
	c = call_new(req, finish_create);
	if (!c)
		return;
	c->ino = parent;
	c->name = strdup(name);
	c->mode = mode;
	c->flags = fi->flags;
	fs_create(c);
}

static void reply_read(struct call *c, const struct iovec *iov, int count)
{
	fuse_reply_iov(c->request, iov, count);
	call_free(c);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct call *c;

	if (control_op_read(req, ino, size, off, fi))
		return;
	c = call_new(req, finish_err);
	if (!c)
		return;
	c->handle = handle_of(fi);
	c->offset = (uint64_t)off;
	c->size = size;
	fs_read(c, reply_read);
}

static void finish_count(struct call *c, int err)
{
	if (err)
		fuse_reply_err(c->request, err);
	else
		fuse_reply_write(c->request, c->count);
	call_free(c);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct call *c;

	if (control_op_write(req, ino, buf, size, fi))
		return;
	c = call_new(req, finish_count);
	if (!c)
		return;
	c->handle = handle_of(fi);
	c->offset = (uint64_t)off;
	c->size = size;
	c->data = buf;
	fs_write(c);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in,
			       fuse_ino_t ino_out, off_t off_out, struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct call *c;

	if (flags || control_owns(ino_in) || control_owns(ino_out)) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	c = call_new(req, finish_count);
	if (!c)
		return;
	c->handle = handle_of(fi_in);
	c->offset = (uint64_t)off_in;
	c->handle2 = handle_of(fi_out);
	c->offset2 = (uint64_t)off_out;
	c->size = len;
	fs_copy_range(c);
}

static void file_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, void (*op)(struct call *c))
{
	struct call *c;

	if (control_owns(ino)) {
		fuse_reply_err(req, 0);
		return;
	}
	c = call_new(req, finish_err);
	if (!c)
		return;
	c->handle = handle_of(fi);
	c->ino = ino;
	op(c);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	file_op(req, ino, fi, fs_flush);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	file_op(req, ino, fi, fs_fsync);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!control_op_release(req, ino, fi))
		file_op(req, ino, fi, fs_release);
}

/* -------------------------------------------------------------------------------------------- directories */

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct call *c;

	(void)fi;
	if (control_op_opendir(req, ino))
		return;
	c = call_new(req, finish_open);
	if (!c)
		return;
	c->ino = ino;
	fs_opendir(c);
}

/* Adds one entry to an answer; 0 when it did not fit. Entries 0 and 1 are "." and "..". */
static size_t add_entry(struct call *c, char *buf, size_t room, uint64_t index, bool plus)
{
	struct dir_entry d;
	struct fuse_entry_param e = {0};
	off_t next = (off_t)index + 1;
	size_t used;

	if (index < 2) {
		e.attr.st_mode = S_IFDIR;
		e.attr.st_ino = index ? FUSE_ROOT_ID : c->handle->node->ino; /* "..": the kernel knows better */
		return plus ? fuse_add_direntry_plus(c->request, buf, room, index ? ".." : ".", &e, next) :
			      fuse_add_direntry(c->request, buf, room, index ? ".." : ".", &e.attr, next);
	}
	if (!fs_readdir_entry(c->handle, index - 2, plus, &d))
		return 0;
	if (!plus)
		used = fuse_add_direntry(c->request, buf, room, d.name, &d.stat, next);
	else {
		e.attr = d.stat;
		e.ino = d.known ? d.stat.st_ino : 0; /* 0: the kernel asks when it needs to know */
		e.attr_timeout = e.entry_timeout = (double)KERNEL_TTL_MS / 1000;
		used = fuse_add_direntry_plus(c->request, buf, room, d.name, &e, next);
		if (used > room && d.known)
			fs_readdir_undo(c->handle, index - 2);
	}
	return used;
}

static void reply_entries(struct call *c, int err, bool plus)
{
	char *buf;
	size_t used = 0;

	buf = err ? NULL : malloc(c->size);
	if (!buf) {
		fuse_reply_err(c->request, err ? err : ENOMEM);
		call_free(c);
		return;
	}
	for (uint64_t index = c->offset;; index++) {
		size_t len = add_entry(c, buf + used, c->size - used, index, plus);

		if (!len || len > c->size - used)
			break;
		used += len;
	}
	fuse_reply_buf(c->request, buf, used);
	free(buf);
	call_free(c);
}

static void finish_readdir(struct call *c, int err)
{
	reply_entries(c, err, false);
}

static void finish_readdirplus(struct call *c, int err)
{
	reply_entries(c, err, true);
}

static void readdir_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi,
		       bool plus)
{
	struct call *c;

	if (control_op_readdir(req, ino, size, off, plus))
		return;
	c = call_new(req, plus ? finish_readdirplus : finish_readdir);
	if (!c)
		return;
	c->handle = handle_of(fi);
	c->offset = (uint64_t)off;
	c->size = size;
	fs_readdir(c);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	readdir_op(req, ino, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	readdir_op(req, ino, size, off, fi, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	file_op(req, ino, fi, fs_releasedir);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	/* A bucket has no size: large numbers that no program's arithmetic overflows. */
	const struct statvfs st = {
		.f_bsize = 1 << 20, .f_frsize = 4096, .f_blocks = (fsblkcnt_t)1 << 38, .f_bfree = (fsblkcnt_t)1 << 38,
		.f_bavail = (fsblkcnt_t)1 << 38, .f_files = (fsfilcnt_t)1 << 32, .f_ffree = (fsfilcnt_t)1 << 32,
		.f_favail = (fsfilcnt_t)1 << 32, .f_namemax = KEY_NAME_MAX,
	};

	(void)ino;
	fuse_reply_statfs(req, &st);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	session_init(userdata, conn);
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.statfs = op_statfs,
	.create = op_create,
	.copy_file_range = op_copy_file_range,
};
