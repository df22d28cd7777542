/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The adapter: libfuse's low-level operations on one side, the core's calls on the other. */
#ifndef S3B_FS_OPS_H
#define S3B_FS_OPS_H

#include <fuse_lowlevel.h>

struct fs;

extern const struct fuse_lowlevel_ops fs_ops; /* userdata: struct fs * */

#endif
