/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Before anything is mounted: can every bucket be reached and listed with what the configuration says? */
#ifndef S3B_FS_BUCKET_CHECK_H
#define S3B_FS_BUCKET_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "s3/s3.h"

#define BUCKET_CHECK_DEADLINE_MS 15000

/* One sentence per bucket that failed. */
typedef void (*bucket_check_fn)(void *arg, const char *sentence);

/* Lists one key below PREFIXES[i] of each bucket, all at once. Called while nobody else uses the backend: a scheduler
 * would try a refused connection again and again, and here somebody waits for the answer. What may pass by itself (a
 * busy server, a lost connection) is tried again a few times. Returns how many buckets failed. */
unsigned bucket_check(struct s3_backend *be, struct s3_bucket *const *buckets, const char *const *prefixes,
		      size_t count, int64_t deadline_ms, bucket_check_fn fail, void *arg);

#endif
