/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recipes: every change is one splice, which replaces a range of the file by a few extents. What can fail is done
 * before the first extent moves, so a failed call leaves the recipe as it was. */
#include "fs/recipe.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A splice adds the new extents, the ZERO of a gap, and one for each of its two cuts. */
#define SPLICE_OVERHEAD 3

static bool is_continued_by(const struct sched_extent *a, const struct sched_extent *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case SCHED_EXTENT_ZERO:
		return true;
	case SCHED_EXTENT_DATA:
		return a->block == b->block && a->offset_bytes + a->length_bytes == b->offset_bytes;
	case SCHED_EXTENT_COPY:
		if (a->offset_bytes + a->length_bytes != b->offset_bytes)
			return false;
		if (a->source == b->source)
			return true;
		return a->source->bucket == b->source->bucket && !strcmp(a->source->key, b->source->key) &&
		       !strcmp(a->source->etag, b->source->etag);
	case SCHED_EXTENT_PART:
		return false;
	}
	return false;
}

/* The part [SKIP, SKIP+LENGTH) of E, with a reference of its own. */
static struct sched_extent extent_slice(const struct sched_extent *e, uint64_t skip, uint64_t length)
{
	struct sched_extent s = *e;

	assert(length > 0 && skip + length <= e->length_bytes);
	assert(e->kind != SCHED_EXTENT_PART || length == e->length_bytes);
	s.length_bytes = length;
	if (e->kind == SCHED_EXTENT_COPY) {
		s.offset_bytes += skip;
		sched_source_ref(s.source);
	} else if (e->kind == SCHED_EXTENT_DATA) {
		s.offset_bytes += skip;
		block_ref(s.block);
	}
	return s;
}

static int reserve(struct recipe *r, size_t extra)
{
	size_t capacity = r->capacity ? r->capacity : 8;
	struct sched_extent *extents;

	if (r->count + extra <= r->capacity)
		return 0;
	while (capacity < r->count + extra)
		capacity *= 2;
	extents = realloc(r->extents, capacity * sizeof(*extents));
	if (!extents)
		return -ENOMEM;
	r->extents = extents;
	r->capacity = capacity;
	return 0;
}

/* The extent that holds OFFSET (< size) and where it starts, searched from the nearer end: writers append, readers of
 * short recipes do not care. */
static size_t index_of(const struct recipe *r, uint64_t offset, uint64_t *start)
{
	uint64_t pos;
	size_t i;

	assert(offset < r->size_bytes);
	if (offset < r->size_bytes / 2) {
		pos = 0;
		for (i = 0; pos + r->extents[i].length_bytes <= offset; i++)
			pos += r->extents[i].length_bytes;
	} else {
		i = r->count - 1;
		pos = r->size_bytes - r->extents[i].length_bytes;
		while (pos > offset)
			pos -= r->extents[--i].length_bytes;
	}
	*start = pos;
	return i;
}

static bool cuts_part(const struct recipe *r, uint64_t offset)
{
	uint64_t start;
	size_t i;

	if (offset >= r->size_bytes)
		return false;
	i = index_of(r, offset, &start);
	return r->extents[i].kind == SCHED_EXTENT_PART && start != offset;
}

/* Makes an extent begin at OFFSET and returns its index; count at the end of the file. Adds at most one extent. */
static size_t split_at(struct recipe *r, uint64_t offset)
{
	struct sched_extent *e;
	uint64_t start;
	size_t i;

	assert(offset <= r->size_bytes);
	if (offset == r->size_bytes)
		return r->count;
	i = index_of(r, offset, &start);
	if (start == offset)
		return i;
	assert(r->count < r->capacity);
	e = &r->extents[i];
	memmove(e + 2, e + 1, (r->count - i - 1) * sizeof(*e));
	e[1] = extent_slice(e, offset - start, e->length_bytes - (offset - start));
	e->length_bytes = offset - start;
	r->count++;
	return i + 1;
}

/* Merges neighbours among extents [FIRST, LAST]. */
static void merge(struct recipe *r, size_t first, size_t last)
{
	size_t to = first, i;

	if (first >= r->count)
		return;
	if (last >= r->count)
		last = r->count - 1;
	for (i = first + 1; i <= last; i++) {
		if (is_continued_by(&r->extents[to], &r->extents[i])) {
			r->extents[to].length_bytes += r->extents[i].length_bytes;
			sched_extent_clear(&r->extents[i]);
		} else if (++to != i) {
			r->extents[to] = r->extents[i];
		}
	}
	if (to == last)
		return;
	memmove(&r->extents[to + 1], &r->extents[last + 1], (r->count - last - 1) * sizeof(*r->extents));
	r->count -= last - to;
}

/* A gap between the end of the file and OFFSET reads as zeros. */
static void fill_gap(struct recipe *r, uint64_t offset)
{
	if (offset <= r->size_bytes)
		return;
	r->extents[r->count++] = (struct sched_extent){
		.kind = SCHED_EXTENT_ZERO,
		.length_bytes = offset - r->size_bytes,
	};
	r->size_bytes = offset;
	merge(r, r->count >= 2 ? r->count - 2 : 0, r->count - 1);
}

/* Replaces [OFFSET, OFFSET+LENGTH) by the N extents at NEW, whose lengths sum to LENGTH and whose references move here.
 * The caller has reserved N + SPLICE_OVERHEAD extents and made sure that no PART is cut. */
static void splice(struct recipe *r, uint64_t offset, uint64_t length, const struct sched_extent *new, size_t n)
{
	uint64_t end = offset + length;
	size_t first, last, i;

	assert(length > 0 && end > offset);
	fill_gap(r, offset);
	first = split_at(r, offset);
	last = split_at(r, end < r->size_bytes ? end : r->size_bytes);
	for (i = first; i < last; i++)
		sched_extent_clear(&r->extents[i]);
	assert(r->count - (last - first) + n <= r->capacity);
	memmove(&r->extents[first + n], &r->extents[last], (r->count - last) * sizeof(*new));
	memcpy(&r->extents[first], new, n * sizeof(*new));
	r->count = r->count - (last - first) + n;
	if (end > r->size_bytes)
		r->size_bytes = end;
	merge(r, first ? first - 1 : 0, first + n);
}

static int splice_checked(struct recipe *r, uint64_t offset, uint64_t length, struct sched_extent *new, size_t n)
{
	if (cuts_part(r, offset) || cuts_part(r, offset + length))
		return -EOPNOTSUPP;
	if (reserve(r, n + SPLICE_OVERHEAD))
		return -ENOMEM;
	splice(r, offset, length, new, n);
	return 0;
}

void recipe_clear(struct recipe *r)
{
	sched_extents_free(r->extents, r->count);
	*r = RECIPE_INIT;
}

int recipe_truncate(struct recipe *r, uint64_t size)
{
	size_t i, keep;

	if (size >= r->size_bytes) {
		if (size == r->size_bytes)
			return 0;
		if (reserve(r, 1))
			return -ENOMEM;
		fill_gap(r, size);
		return 0;
	}
	if (cuts_part(r, size))
		return -EOPNOTSUPP;
	if (reserve(r, 1))
		return -ENOMEM;
	keep = split_at(r, size);
	for (i = keep; i < r->count; i++)
		sched_extent_clear(&r->extents[i]);
	r->count = keep;
	r->size_bytes = size;
	return 0;
}

int recipe_copy(struct recipe *r, uint64_t offset, struct sched_source *source, uint64_t src_offset, uint64_t length)
{
	struct sched_extent e = {
		.kind = SCHED_EXTENT_COPY,
		.length_bytes = length,
		.offset_bytes = src_offset,
		.source = source,
	};
	int err;

	if (!length)
		return 0;
	assert(src_offset + length <= source->size_bytes);
	sched_source_ref(source);
	err = splice_checked(r, offset, length, &e, 1);
	if (err)
		sched_source_unref(source);
	return err;
}

int recipe_zero(struct recipe *r, uint64_t offset, uint64_t length)
{
	struct sched_extent e = {.kind = SCHED_EXTENT_ZERO, .length_bytes = length};

	return length ? splice_checked(r, offset, length, &e, 1) : 0;
}

int recipe_copy_range(struct recipe *r, uint64_t offset, const struct recipe *from, uint64_t src_offset,
		      uint64_t length)
{
	struct sched_extent *list;
	size_t first, i, n = 0;
	uint64_t start, pos, end = src_offset + length;
	int err;

	assert(end >= src_offset && end <= from->size_bytes);
	if (!length)
		return 0;
	first = index_of(from, src_offset, &start);
	for (i = first, pos = start; pos < end; pos += from->extents[i++].length_bytes, n++) {
		if (from->extents[i].kind == SCHED_EXTENT_PART)
			return -EOPNOTSUPP;
	}
	list = malloc(n * sizeof(*list));
	if (!list)
		return -ENOMEM;
	/* All references are taken before the splice, because FROM may be R. */
	for (i = 0, pos = start; i < n; i++) {
		const struct sched_extent *e = &from->extents[first + i];
		uint64_t skip = pos < src_offset ? src_offset - pos : 0;
		uint64_t stop = pos + e->length_bytes > end ? end - pos : e->length_bytes;

		list[i] = extent_slice(e, skip, stop - skip);
		pos += e->length_bytes;
	}
	err = splice_checked(r, offset, length, list, n);
	if (err) {
		sched_extents_free(list, n);
		return err;
	}
	free(list);
	return 0;
}

const struct sched_extent *recipe_find(const struct recipe *r, uint64_t offset, uint64_t *within)
{
	uint64_t start;
	size_t i;

	if (offset >= r->size_bytes)
		return NULL;
	i = index_of(r, offset, &start);
	*within = offset - start;
	return &r->extents[i];
}

int recipe_cut_part(struct recipe *r, uint64_t length, uint32_t number, struct sched_extent **out, size_t *out_count)
{
	struct sched_extent *list;
	size_t first = 0, end;
	uint64_t parts_bytes = recipe_parts_bytes(r);

	if (!length || length > recipe_stream_bytes(r))
		return -EINVAL;
	if (reserve(r, 1))
		return -ENOMEM;
	while (first < r->count && r->extents[first].kind == SCHED_EXTENT_PART)
		first++;
	list = malloc((r->count - first + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	end = split_at(r, parts_bytes + length);
	memcpy(list, &r->extents[first], (end - first) * sizeof(*list));
	r->extents[first] = (struct sched_extent){
		.kind = SCHED_EXTENT_PART,
		.part_number = number,
		.length_bytes = length,
	};
	memmove(&r->extents[first + 1], &r->extents[end], (r->count - end) * sizeof(*list));
	r->count -= end - first - 1;
	*out = list;
	*out_count = end - first;
	return 0;
}

uint64_t recipe_parts_bytes(const struct recipe *r)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < r->count && r->extents[i].kind == SCHED_EXTENT_PART; i++)
		bytes += r->extents[i].length_bytes;
	return bytes;
}

uint64_t recipe_stream_bytes(const struct recipe *r)
{
	uint64_t bytes = 0;
	size_t i = 0;

	while (i < r->count && r->extents[i].kind == SCHED_EXTENT_PART)
		i++;
	for (; i < r->count; i++) {
		if (r->extents[i].kind != SCHED_EXTENT_DATA && r->extents[i].kind != SCHED_EXTENT_ZERO)
			break;
		bytes += r->extents[i].length_bytes;
	}
	return bytes;
}

struct sched_extent *recipe_snapshot(const struct recipe *r, size_t *out_count)
{
	struct sched_extent *list;
	size_t i;

	*out_count = r->count;
	if (!r->count)
		return NULL;
	list = malloc(r->count * sizeof(*list));
	if (!list)
		return NULL;
	for (i = 0; i < r->count; i++)
		list[i] = extent_slice(&r->extents[i], 0, r->extents[i].length_bytes);
	return list;
}

bool recipe_has_parts(const struct recipe *r)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (r->extents[i].kind == SCHED_EXTENT_PART)
			return true;
	}
	return false;
}

bool recipe_has_data(const struct recipe *r)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (r->extents[i].kind == SCHED_EXTENT_DATA || r->extents[i].kind == SCHED_EXTENT_PART)
			return true;
	}
	return false;
}

void recipe_check(const struct recipe *r)
{
	uint64_t sum = 0;
	size_t i;

	assert(r->count <= r->capacity);
	for (i = 0; i < r->count; i++) {
		const struct sched_extent *e = &r->extents[i];

		assert(e->length_bytes > 0);
		sum += e->length_bytes;
		if (e->kind == SCHED_EXTENT_DATA)
			assert(e->block && e->offset_bytes + e->length_bytes <= BLOCK_BYTES);
		if (e->kind == SCHED_EXTENT_COPY)
			assert(e->source && e->offset_bytes + e->length_bytes <= e->source->size_bytes);
		if (i)
			assert(!is_continued_by(&r->extents[i - 1], e));
	}
	assert(sum == r->size_bytes);
	(void)sum;
}

/* ----------------------------------------------------------------------------------------------- writing */

/* May bytes of E's block be changed: nobody else can see them. A block that is not shared cannot become so meanwhile,
 * because only a holder of the recipe takes references; the other way round can happen at any moment. */
static bool is_writable(const struct sched_extent *e)
{
	return e->kind == SCHED_EXTENT_DATA && !block_is_shared(e->block);
}

/* Free bytes behind E in its block, for bytes that follow E in the file. */
static uint64_t free_rest(const struct sched_extent *e)
{
	return is_writable(e) ? BLOCK_BYTES - (e->offset_bytes + e->length_bytes) : 0;
}

/* Free bytes behind what ends at OFFSET. */
static uint64_t free_rest_before(const struct recipe *r, uint64_t offset, size_t *index)
{
	uint64_t start;

	if (!offset || offset > r->size_bytes)
		return 0;
	*index = index_of(r, offset - 1, &start);
	if (start + r->extents[*index].length_bytes != offset)
		return 0;
	return free_rest(&r->extents[*index]);
}

static size_t blocks_for(uint64_t bytes, uint64_t rest)
{
	return bytes <= rest ? 0 : (size_t)((bytes - rest + BLOCK_BYTES - 1) / BLOCK_BYTES);
}

size_t recipe_write_needs(const struct recipe *r, uint64_t offset, size_t length)
{
	uint64_t pos = offset, end = offset + length, start = 0, run = 0, rest;
	size_t needs = 0, i = 0;

	/* Counted piece by piece, a shared block being a piece of its own: should it stop being shared before the
	 * write, the run around it falls apart into pieces, and these are never more than counted here. */
	rest = free_rest_before(r, offset, &i);
	if (offset < r->size_bytes)
		i = index_of(r, offset, &start);
	while (pos < end && pos < r->size_bytes) {
		const struct sched_extent *e = &r->extents[i++];
		uint64_t stop = start + e->length_bytes < end ? start + e->length_bytes : end;

		if (e->kind == SCHED_EXTENT_DATA) {
			needs += blocks_for(run, rest);
			run = 0;
			rest = free_rest(e);
			if (!is_writable(e))
				needs += blocks_for(stop - pos, 0);
		} else {
			run += stop - pos;
		}
		start += e->length_bytes;
		pos = stop;
	}
	return needs + blocks_for(run + (end - pos), rest);
}

static size_t extents_in(const struct recipe *r, uint64_t offset, uint64_t end)
{
	uint64_t pos;
	size_t n = 0, i;

	if (offset >= r->size_bytes)
		return 0;
	for (i = index_of(r, offset, &pos); i < r->count && pos < end; i++, n++)
		pos += r->extents[i].length_bytes;
	return n;
}

/* How far from POS the bytes cannot be written where they are; POS or less when they can. */
static uint64_t run_end(const struct recipe *r, uint64_t pos, uint64_t end)
{
	uint64_t start;
	size_t i;

	if (pos >= r->size_bytes)
		return end;
	for (i = index_of(r, pos, &start); i < r->count && start < end; i++) {
		if (is_writable(&r->extents[i]))
			return start;
		start += r->extents[i].length_bytes;
	}
	return end;
}

/* Puts DATA into BLOCK at BLOCK_OFFSET and makes that the file's bytes at POS; the reference moves here. */
static void write_into(struct recipe *r, uint64_t pos, const unsigned char *data, size_t length, struct block *block,
		       uint64_t block_offset)
{
	struct sched_extent e = {
		.kind = SCHED_EXTENT_DATA,
		.length_bytes = length,
		.offset_bytes = block_offset,
		.block = block,
	};

	memcpy(block_data(block) + block_offset, data, length);
	splice(r, pos, length, &e, 1);
}

int recipe_write(struct recipe *r, uint64_t offset, const void *data, size_t length, struct block **blocks,
		 size_t nblocks, size_t *used)
{
	const unsigned char *from = data;
	uint64_t pos = offset, end = offset + length, start, within, stop, rest;
	size_t i = 0, n;

	*used = 0;
	if (!length)
		return 0;
	assert(end > offset);
	if (cuts_part(r, offset) || cuts_part(r, end))
		return -EOPNOTSUPP;
	/* Every fresh block and every use of a free rest adds one extent, the ends of the range two more; a rest is
	 * used at most once for each extent in the range and the one before. */
	if (reserve(r, nblocks + extents_in(r, offset, end) + 1 + 2 + SPLICE_OVERHEAD))
		return -ENOMEM;
	while (pos < end) {
		stop = run_end(r, pos, end);
		if (stop <= pos) {
			i = index_of(r, pos, &start);
			within = pos - start;
			n = r->extents[i].length_bytes - within;
			n = n < end - pos ? n : end - pos;
			memcpy(block_data(r->extents[i].block) + r->extents[i].offset_bytes + within, from, n);
		} else if ((rest = free_rest_before(r, pos, &i)) > 0) {
			const struct sched_extent *e = &r->extents[i];

			n = rest < stop - pos ? rest : stop - pos;
			write_into(r, pos, from, n, block_ref(e->block), e->offset_bytes + e->length_bytes);
		} else {
			assert(*used < nblocks);
			n = BLOCK_BYTES < stop - pos ? BLOCK_BYTES : stop - pos;
			write_into(r, pos, from, n, blocks[(*used)++], 0);
		}
		from += n;
		pos += n;
	}
	return 0;
}
