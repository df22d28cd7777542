/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control directory as FUSE sees it: inode numbers from the top of the range, one directory and a few files. Each control_op_
 * answers the request and returns true when it is about the control directory. */
#ifndef S3B_FS_OPS_CONTROL_H
#define S3B_FS_OPS_CONTROL_H

#include <fuse_lowlevel.h>
#include <stdbool.h>

bool control_owns(fuse_ino_t ino);
bool control_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool control_op_getattr(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi);
bool control_op_setattr(fuse_req_t req, fuse_ino_t ino, int to_set);
bool control_op_refuse_change(fuse_req_t req, fuse_ino_t parent, const char *name);
bool control_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
bool control_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
bool control_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, struct fuse_file_info *fi);
bool control_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
bool control_op_opendir(fuse_req_t req, fuse_ino_t ino);
bool control_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus);

#endif
