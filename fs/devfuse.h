/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A FUSE mount made by ourselves (root only), so that two abilities can be claimed in the INIT answer which libfuse
 * before 3.17 never negotiates: lookups in one directory in parallel, and set-id bits dropped by the file system. */
#ifndef S3B_FS_DEVFUSE_H
#define S3B_FS_DEVFUSE_H

#include <stdbool.h>
#include <stddef.h>

struct fuse_session;

struct devfuse_options {
	const char *mountpoint, *source;
	bool readonly, noexec, allow_other;
};

/* What fusermount3 would refuse an ordinary user with a remark of its own: the device, and other users' access. 0, or
 * -1 with a sentence in ERR. */
int devfuse_check_user(bool allow_other, char *err, size_t err_size);

/* Mounts and gives SE the descriptor. 0, or -1 with a sentence in ERR. */
int devfuse_mount(struct fuse_session *se, const struct devfuse_options *options, char *err, size_t err_size);

/* Unmounts what devfuse_mount mounted, unless somebody has done so already. Before fuse_session_destroy. */
void devfuse_unmount(struct fuse_session *se, const char *mountpoint);

#endif
