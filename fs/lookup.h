/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on names that read only. Each answers by finishing its call. */
#ifndef S3B_FS_LOOKUP_H
#define S3B_FS_LOOKUP_H

#include "fs/internal.h"

/* ino: the directory; name. Result: node, stat, entry_ttl_ms. */
void fs_lookup(struct call *c);
/* ino. Result: stat. */
void fs_getattr(struct call *c);
void fs_forget(struct fs *fs, uint64_t ino, uint64_t nlookup);

#endif
