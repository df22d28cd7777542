/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A cursor over segments. */
#include "s3/body.h"

#include <assert.h>
#include <string.h>

static void skip_read_segments(struct body *b)
{
	while (b->index < b->segment_count && b->offset_bytes == b->segments[b->index].length_bytes) {
		b->index++;
		b->offset_bytes = 0;
	}
}

void body_init(struct body *b, const struct s3_segment *segments, size_t segment_count, struct ring *ring)
{
	*b = (struct body){.segments = segments, .segment_count = segment_count, .ring = ring};
	skip_read_segments(b);
}

bool body_at_end(const struct body *b)
{
	return b->index == b->segment_count;
}

bool body_at_object(const struct body *b)
{
	return !body_at_end(b) && b->segments[b->index].kind == S3_SEGMENT_OBJECT;
}

static size_t read_segment(struct body *b, const struct s3_segment *seg, unsigned char *to, size_t len,
			   size_t withheld_bytes)
{
	uint64_t left = seg->length_bytes - b->offset_bytes;
	size_t available;

	if (len > left)
		len = (size_t)left;
	switch (seg->kind) {
	case S3_SEGMENT_MEMORY:
		memcpy(to, (const unsigned char *)seg->memory + b->offset_bytes, len);
		break;
	case S3_SEGMENT_ZERO:
		memset(to, 0, len);
		break;
	case S3_SEGMENT_OBJECT:
		available = ring_used(b->ring);
		available = available > withheld_bytes ? available - withheld_bytes : 0;
		len = ring_read(b->ring, to, len < available ? len : available);
		break;
	}
	b->offset_bytes += len;
	b->read_bytes += len;
	return len;
}

size_t body_read(struct body *b, void *buf, size_t len, size_t withheld_bytes)
{
	unsigned char *to = buf;
	size_t done = 0, n;

	while (done < len && !body_at_end(b)) {
		n = read_segment(b, &b->segments[b->index], to + done, len - done, withheld_bytes);
		if (n == 0)
			break;
		done += n;
		skip_read_segments(b);
	}
	return done;
}

bool body_rewind(struct body *b)
{
	if (b->ring && !ring_rewind(b->ring))
		return false;
	b->index = 0;
	b->offset_bytes = 0;
	b->read_bytes = 0;
	skip_read_segments(b);
	return true;
}
