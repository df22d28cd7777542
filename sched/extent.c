/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sources and extents: counting references, tidying lists, making bodies of them. */
#include "sched/extent.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/xalloc.h"

struct sched_source *sched_source_new(const struct s3_bucket *bucket, const char *key, const char *etag,
				      uint64_t size_bytes)
{
	struct sched_source *src = xcalloc(1, sizeof(*src));

	atomic_init(&src->refs, 1);
	src->bucket = bucket;
	src->key = xstrdup(key);
	src->etag = xstrdup(etag);
	src->size_bytes = size_bytes;
	return src;
}

struct sched_source *sched_source_ref(struct sched_source *src)
{
	atomic_fetch_add_explicit(&src->refs, 1, memory_order_relaxed);
	return src;
}

void sched_source_unref(struct sched_source *src)
{
	if (!src || atomic_fetch_sub_explicit(&src->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(src->key);
	free(src->etag);
	free(src);
}

void sched_extent_clear(struct sched_extent *e)
{
	sched_source_unref(e->source);
	block_unref(e->block);
	e->source = NULL;
	e->block = NULL;
}

void sched_extents_free(struct sched_extent *e, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		sched_extent_clear(&e[i]);
	free(e);
}

static bool same_source(const struct sched_source *a, const struct sched_source *b)
{
	return a == b || (a->bucket == b->bucket && a->size_bytes == b->size_bytes && !strcmp(a->etag, b->etag) &&
			  !strcmp(a->key, b->key));
}

static bool continues(const struct sched_extent *a, const struct sched_extent *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case SCHED_EXTENT_ZERO:
		return true;
	case SCHED_EXTENT_COPY:
		return a->offset_bytes + a->length_bytes == b->offset_bytes && same_source(a->source, b->source);
	case SCHED_EXTENT_DATA:
		return a->block == b->block && a->offset_bytes + a->length_bytes == b->offset_bytes;
	default:
		return false;
	}
}

void extents_coalesce(struct sched_extent *e, size_t *count)
{
	size_t from, to = 0;

	for (from = 0; from < *count; from++) {
		if (e[from].length_bytes == 0) {
			sched_extent_clear(&e[from]);
		} else if (to > 0 && continues(&e[to - 1], &e[from])) {
			e[to - 1].length_bytes += e[from].length_bytes;
			sched_extent_clear(&e[from]);
		} else {
			e[to++] = e[from];
		}
	}
	*count = to;
}

uint64_t extents_length(const struct sched_extent *e, size_t count)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < count; i++)
		sum += e[i].length_bytes;
	return sum;
}

bool extents_check(const struct sched_extent *e, size_t count, bool has_upload, char *err, size_t err_size)
{
	size_t i;

	for (i = 0; i < count; i++) {
		uint64_t end = e[i].offset_bytes + e[i].length_bytes;
		const struct sched_source *src = e[i].source;

		if (e[i].kind == SCHED_EXTENT_COPY && (end < e[i].offset_bytes || end > src->size_bytes)) {
			snprintf(err, err_size, "cannot copy bytes %llu to %llu of %s/%s: it has only %llu",
				 (unsigned long long)e[i].offset_bytes, (unsigned long long)end,
				 s3_bucket_label(src->bucket), src->key, (unsigned long long)src->size_bytes);
			return false;
		}
		if (e[i].kind == SCHED_EXTENT_DATA && (end < e[i].offset_bytes || end > BLOCK_BYTES)) {
			snprintf(err, err_size, "a piece of written data is longer than its block (%llu bytes)",
				 (unsigned long long)end);
			return false;
		}
		if (e[i].kind == SCHED_EXTENT_PART && !has_upload) {
			snprintf(err, err_size, "part %u belongs to no upload", e[i].part_number);
			return false;
		}
	}
	return true;
}

const struct s3_bucket *extents_first_bucket(const struct sched_extent *e, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (e[i].kind == SCHED_EXTENT_COPY)
			return e[i].source->bucket;
	return NULL;
}

static struct s3_segment segment_of(const struct sched_extent *e, uint64_t skip, uint64_t length)
{
	struct s3_segment seg = {.length_bytes = length};

	switch (e->kind) {
	case SCHED_EXTENT_DATA:
		seg.kind = S3_SEGMENT_MEMORY;
		seg.memory = block_data(e->block) + e->offset_bytes + skip;
		break;
	case SCHED_EXTENT_COPY:
		seg.kind = S3_SEGMENT_OBJECT;
		seg.src_bucket = e->source->bucket;
		seg.src_key = e->source->key;
		seg.src_etag = e->source->etag[0] ? e->source->etag : NULL;
		seg.src_offset_bytes = e->offset_bytes + skip;
		break;
	default:
		assert(e->kind == SCHED_EXTENT_ZERO);
		seg.kind = S3_SEGMENT_ZERO;
		break;
	}
	return seg;
}

struct s3_segment *extents_segments(const struct sched_extent *e, uint64_t skip_bytes, uint64_t length_bytes,
				    size_t *count)
{
	struct s3_segment *segments;
	uint64_t covered = 0, skip;
	size_t n = 0, i;

	while (covered < length_bytes) {
		covered += e[n].length_bytes - (n == 0 ? skip_bytes : 0);
		n++;
	}
	*count = n;
	if (n == 0)
		return NULL;
	segments = xcalloc(n, sizeof(*segments));
	for (i = 0, skip = skip_bytes; i < n; i++, skip = 0) {
		uint64_t take = e[i].length_bytes - skip;

		if (take > length_bytes)
			take = length_bytes;
		segments[i] = segment_of(&e[i], skip, take);
		length_bytes -= take;
	}
	return segments;
}
