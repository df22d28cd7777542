/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Serves fs/control.h's files through FUSE. */
#include "fs/ops_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/control.h"
#include "fs/internal.h"
#include "s3/base/clock.h"

#define CONTROL_INO (UINT64_MAX - 4096)

static int control_count(void)
{
	int n = 0;

	while (control_names[n])
		n++;
	return n;
}

static fuse_ino_t file_ino(int index)
{
	return CONTROL_INO + 1 + (fuse_ino_t)index;
}

bool control_owns(fuse_ino_t ino)
{
	return ino >= CONTROL_INO && ino <= CONTROL_INO + (fuse_ino_t)control_count();
}

static int file_index(fuse_ino_t ino)
{
	return (int)(ino - CONTROL_INO - 1);
}

static struct control_file *control_of(const struct fuse_file_info *fi)
{
	return (struct control_file *)(uintptr_t)fi->fh;
}

/* The files are read with direct_io, so a wrong size hides nothing from who reads to the end. But less, tail and the kernel's
 * copy_file_range believe the size, so it is the one that the last open found. FI: NULL, or the open file that is asked about. */
static void control_stat(fuse_ino_t ino, const struct fuse_file_info *fi, struct stat *st)
{
	struct control_size size = {0};

	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_uid = getuid();
	st->st_gid = getgid();
	if (ino == CONTROL_INO) {
		st->st_mode = S_IFDIR | 0500;
		st->st_nlink = 2;
	} else {
		st->st_mode = S_IFREG | (control_is_writable(file_index(ino)) ? 0600 : 0400);
		st->st_nlink = 1;
		control_size(fi ? control_of(fi) : NULL, file_index(ino), &size);
		st->st_size = (off_t)size.bytes;
		st->st_blocks = (blkcnt_t)((size.bytes + 511) / 512);
	}
	st->st_mtim = size.made.tv_sec ? size.made : clock_realtime();
	st->st_atim = st->st_ctim = st->st_mtim;
}

/* Of files: never, as the size changes with every open. */
static double attr_timeout_s(fuse_ino_t ino)
{
	return ino == CONTROL_INO ? 1 : 0;
}

bool control_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {.entry_timeout = 1};
	bool in_root = parent == FUSE_ROOT_ID && !strcmp(name, CONTROL_DIR);

	if (!in_root && parent != CONTROL_INO)
		return false;
	if (in_root) {
		e.ino = CONTROL_INO;
	} else {
		for (int i = 0; control_names[i]; i++)
			if (!strcmp(control_names[i], name))
				e.ino = file_ino(i);
	}
	if (!e.ino) {
		fuse_reply_err(req, ENOENT);
		return true;
	}
	control_stat(e.ino, NULL, &e.attr);
	e.attr_timeout = attr_timeout_s(e.ino);
	fuse_reply_entry(req, &e);
	return true;
}

bool control_op_getattr(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	struct stat st;

	if (!control_owns(ino))
		return false;
	control_stat(ino, fi, &st);
	fuse_reply_attr(req, &st, attr_timeout_s(ino));
	return true;
}

/* O_TRUNC on the control file is harmless; nothing else may change. */
bool control_op_setattr(fuse_req_t req, fuse_ino_t ino, int to_set)
{
	if (!control_owns(ino))
		return false;
	if (ino != CONTROL_INO && control_is_writable(file_index(ino)) && (to_set & FUSE_SET_ATTR_SIZE))
		return control_op_getattr(req, ino, NULL);
	fuse_reply_err(req, EPERM);
	return true;
}

bool control_op_refuse_change(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (parent != CONTROL_INO && !(parent == FUSE_ROOT_ID && !strcmp(name, CONTROL_DIR)))
		return false;
	fuse_reply_err(req, EPERM);
	return true;
}

static void on_opened(void *arg, struct control_file *f)
{
	struct fuse_file_info fi = {.fh = (uint64_t)(uintptr_t)f, .direct_io = 1};

	if (!f)
		fuse_reply_err(arg, ENOMEM);
	else if (fuse_reply_open(arg, &fi) == -ENOENT)
		control_close(f);
}

bool control_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!control_owns(ino))
		return false;
	/* Root passes the kernel's look at the mode. */
	if (!control_is_writable(file_index(ino)) && (fi->flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY)
		fuse_reply_err(req, EACCES);
	else
		control_open(fuse_req_userdata(req), file_index(ino), on_opened, req);
	return true;
}

static void on_reply(void *arg, int err, const void *data, size_t len)
{
	if (err)
		fuse_reply_err(arg, err);
	else
		fuse_reply_buf(arg, data, len);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	control_interrupt(data, req);
}

bool control_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	if (!control_owns(ino))
		return false;
	fuse_req_interrupt_func(req, on_interrupt, control_of(fi));
	control_read(control_of(fi), (uint64_t)off, size, on_reply, req);
	return true;
}

bool control_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, struct fuse_file_info *fi)
{
	int n;

	if (!control_owns(ino))
		return false;
	n = control_write(control_of(fi), buf, size);
	if (n < 0)
		fuse_reply_err(req, -n);
	else
		fuse_reply_write(req, (size_t)n);
	return true;
}

bool control_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!control_owns(ino))
		return false;
	control_close(control_of(fi));
	fuse_reply_err(req, 0);
	return true;
}

bool control_op_opendir(fuse_req_t req, fuse_ino_t ino)
{
	struct fuse_file_info fi = {0};

	if (!control_owns(ino))
		return false;
	fuse_reply_open(req, &fi);
	return true;
}

bool control_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	char buf[2048];
	size_t used = 0;

	if (!control_owns(ino))
		return false;
	size = size < sizeof(buf) ? size : sizeof(buf);
	for (off_t i = off; i < control_count(); i++) {
		struct fuse_entry_param e = {0}; /* ino 0: the kernel looks it up when it needs to */
		size_t len;

		control_stat(file_ino((int)i), NULL, &e.attr);
		len = plus ? fuse_add_direntry_plus(req, buf + used, size - used, control_names[i], &e, i + 1) :
			     fuse_add_direntry(req, buf + used, size - used, control_names[i], &e.attr, i + 1);
		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, buf, used);
	return true;
}
