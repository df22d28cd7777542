/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads a list of segments as one stream of bytes. What OBJECT segments contribute comes, in the same order, from a
 * ring that somebody else fills. No I/O, no lock: one thread. */
#ifndef S3B_BODY_H
#define S3B_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/ring.h"
#include "s3/s3.h"

struct body {
	const struct s3_segment *segments; /* borrowed */
	size_t segment_count;
	size_t index;             /* the segment that is read now; skips empty ones */
	uint64_t offset_bytes;    /* how much of it has been read */
	uint64_t read_bytes;      /* of all segments */
	struct ring *ring;        /* borrowed; NULL when there is no OBJECT segment */
};

void body_init(struct body *b, const struct s3_segment *segments, size_t segment_count, struct ring *ring);

/* Copies what is there, at most LEN bytes, leaving WITHHELD bytes in the ring. 0: the end, or the ring is empty. */
size_t body_read(struct body *b, void *buf, size_t len, size_t withheld_bytes);
bool body_at_end(const struct body *b);
/* The next byte comes out of the ring. */
bool body_at_object(const struct body *b);
/* Back to the first byte. False, and nothing changed, when the ring no longer has it. */
bool body_rewind(struct body *b);

#endif
