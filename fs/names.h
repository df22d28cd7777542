/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations that change names. Each answers by finishing its call. */
#ifndef S3B_FS_NAMES_H
#define S3B_FS_NAMES_H

#include "fs/internal.h"

/* ino: the directory; name. */
void fs_unlink(struct call *c);
void fs_rmdir(struct call *c);
/* ino, name, mode, uid, gid. Result: an entry. */
void fs_mkdir(struct call *c);
/* ino, name, text (the target, owned by the call), uid, gid. Result: an entry. */
void fs_symlink(struct call *c);
/* ino. Result: text. */
void fs_readlink(struct call *c);
/* ino, name -> ino2, name2; flags: RENAME_NOREPLACE. */
void fs_rename(struct call *c);

/* The last handle of N goes: what was unlinked while open is deleted now. */
void names_release_locked(struct fs *fs, struct node *n);

/* rename_dir.c: the rename of a directory, after the checks that every rename has. */
void rename_directory_locked(struct call *c, struct node *n, struct node *to_dir);

/* Is DIR empty? Asks S3 where that is not known: returns -EAGAIN when C waits (RESUME comes), else 0 or a negative errno. */
int directory_is_empty_locked(struct call *c, struct node *dir, void (*resume)(struct call *c));

#endif
