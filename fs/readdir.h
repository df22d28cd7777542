/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading directories. */
#ifndef S3B_FS_READDIR_H
#define S3B_FS_READDIR_H

#include "fs/file.h"
#include "fs/keys.h"

/* ino. Result: handle. */
void fs_opendir(struct call *c);
/* handle, offset. Waits until the entries are known (at offset 0: freshly), then finishes; the adapter takes them by
 * fs_readdir_entry. */
void fs_readdir(struct call *c);
void fs_releasedir(struct call *c);

struct dir_entry {
	char name[KEY_NAME_MAX + 1];
	struct stat stat;  /* st_ino and the type always; all of it when KNOWN */
	bool known;        /* attributes are fresh: may be given to the kernel with a lookup */
};
/* Entry INDEX of a handle that fs_readdir has finished for; false behind the last. LOOKUP: counts a kernel lookup where KNOWN.
 * "." and ".." are the adapter's. */
bool fs_readdir_entry(struct handle *h, size_t index, bool lookup, struct dir_entry *out);
/* Takes the lookup back: the entry did not fit into the answer. */
void fs_readdir_undo(struct handle *h, size_t index);

#endif
