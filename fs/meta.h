/* SPDX-License-Identifier: GPL-3.0-or-later */
/* POSIX attributes in object metadata (x-amz-meta-...), written so that s3fs, geesefs and rclone read them:
 * mode "0100644" (octal, with the type), uid, gid decimal, mtime seconds or seconds with exactly nine decimals.
 * Reads what they, s3cmd/mc and DataSync write (shared formats are listed in meta.c). */
#ifndef S3B_FS_META_H
#define S3B_FS_META_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "s3/s3.h"

struct meta_attr {
	bool has_mode, has_uid, has_gid, has_mtime;
	mode_t mode;  /* type and permissions. Only regular, directory and symlink types are honoured; setuid, setgid
	                 and device types never (they come from whoever can write the bucket) */
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
};

/* Malformed values are ignored, never an error. */
void meta_decode(const struct s3_headers *headers, struct meta_attr *out);

/* Sets what ATTR has into HEADERS (and removes what other tools wrote for the same thing, so that they do not disagree).
 * 0 or -ENOMEM. */
int meta_encode(struct s3_headers *headers, const struct meta_attr *attr);

#endif
