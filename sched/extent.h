/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of extents: tidied, measured, and turned into the segments of a request's body. */
#ifndef S3B_EXTENT_H
#define S3B_EXTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/sched.h"

/* Drops empty extents and joins neighbours that continue each other, in place: a long copy arrives as many calls. */
void extents_coalesce(struct sched_extent *e, size_t *count);
uint64_t extents_length(const struct sched_extent *e, size_t count);
/* Is every extent possible: inside its source or block, a part of an upload only when there is one (HAS_UPLOAD)?
 * Else a sentence in ERR. */
bool extents_check(const struct sched_extent *e, size_t count, bool has_upload, char *err, size_t err_size);

/* Where the first that is copied comes from; NULL: none is. */
const struct s3_bucket *extents_first_bucket(const struct sched_extent *e, size_t count);

/* The segments of LENGTH_BYTES from SKIP_BYTES behind the start of the first extent. They borrow from the extents.
 * The array is the caller's; no PART extent may be among them. */
struct s3_segment *extents_segments(const struct sched_extent *e, uint64_t skip_bytes, uint64_t length_bytes,
				    size_t *count);

#endif
