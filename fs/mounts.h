/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is mounted where: /proc/self/mountinfo. */
#ifndef S3B_FS_MOUNTS_H
#define S3B_FS_MOUNTS_H

#include <stdbool.h>
#include <stdio.h>

#define MOUNTS_SUBTYPE "s3bridge"
#define MOUNTS_TYPE    "fuse." MOUNTS_SUBTYPE

struct mount {
	char *point; /* owned */
	char *type;  /* owned */
};
void mount_clear(struct mount *m);
#define CLEANUP_MOUNT __attribute__((cleanup(mount_clear)))

/* The mount that PATH (absolute, resolved) lies in: the longest mount point that is a prefix of it, and of those the
 * one mounted last. False when nothing can be read. */
bool mounts_of(const char *path, struct mount *out);

/* What is mounted exactly at PATH. False: nothing. */
bool mounts_at(const char *path, struct mount *out);

/* mounts_of() over the text of F, for tests. */
bool mounts_search(FILE *f, const char *path, struct mount *out);

#endif
