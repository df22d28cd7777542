/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From extents to requests. */
#include "sched/plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/xalloc.h"

#define MIB ((uint64_t)1 << 20)

/* Larger parts cost fewer requests and win on long round trips; smaller ones run in parallel sooner, and less is sent
 * again after an error. */
static const struct {
	uint64_t up_to_bytes, part_bytes;
} part_sizes[] = {
	{64 * MIB, 8 * MIB},
	{1024 * MIB, 16 * MIB},
	{16384 * MIB, 32 * MIB},
	{UINT64_MAX, 64 * MIB},
};

uint64_t plan_part_size(uint64_t size_bytes, uint64_t wanted_bytes, uint32_t parts_max)
{
	uint64_t part = wanted_bytes, least;
	size_t i = 0;

	assert(parts_max > 0);
	if (part == 0) {
		while (size_bytes > part_sizes[i].up_to_bytes)
			i++;
		part = part_sizes[i].part_bytes;
	}
	if (part < PLAN_PART_MIN_BYTES)
		part = PLAN_PART_MIN_BYTES;
	least = size_bytes / parts_max + (size_bytes % parts_max != 0);
	if (part < least)
		part = (least + MIB - 1) / MIB * MIB;
	return part > PLAN_PART_MAX_BYTES ? PLAN_PART_MAX_BYTES : part;
}

#define LINK_ROUND_TRIPS 8       /* that a part should take at least: then waiting for answers costs little */
#define LINK_PART_MAX_BYTES (64 * MIB)
#define LINK_PART_MIN_BYTES (8 * MIB)

uint64_t plan_link_part_size(uint64_t size_bytes, const struct plan_link *link)
{
	uint64_t part = plan_part_size(size_bytes, 0, PLAN_PARTS_MAX), each, wanted;

	if (link->rtt_us > 0 && link->bytes_per_s > 0) {
		wanted = (uint64_t)(LINK_ROUND_TRIPS * link->rtt_us / 1e6 * link->bytes_per_s);
		if (wanted > LINK_PART_MAX_BYTES)
			wanted = LINK_PART_MAX_BYTES;
		if (part < wanted)
			part = (wanted + MIB - 1) / MIB * MIB;
	}
	/* On a link where requests fail often less is sent again. */
	if (link->factor > 0 && link->factor < 1)
		part = (uint64_t)((double)part * link->factor);
	each = link->workers ? size_bytes / link->workers / MIB * MIB : part;
	if (part > each)
		part = each;
	return part < LINK_PART_MIN_BYTES ? LINK_PART_MIN_BYTES : part;
}

static bool is_power_of_two(uint64_t n)
{
	return n > 0 && (n & (n - 1)) == 0;
}

uint64_t plan_source_part_size(const char *etag, uint64_t size_bytes)
{
	const char *dash = etag ? strrchr(etag, '-') : NULL;
	uint64_t first, last, part;
	char *end;
	unsigned long n;

	if (!dash || dash[1] < '1' || dash[1] > '9')
		return 0;
	n = strtoul(dash + 1, &end, 10);
	if ((*end != '\0' && *end != '"') || n < 2 || n > PLAN_PARTS_MAX || size_bytes == 0)
		return 0;
	/* N parts: (N - 1) * part < size <= N * part */
	first = ((size_bytes + n - 1) / n + MIB - 1) / MIB * MIB;
	last = (size_bytes - 1) / (n - 1) / MIB * MIB;
	if (first > last)
		return 0;
	for (part = MIB; part < first; part *= 2)
		;
	if (part <= last && is_power_of_two(part))
		return part;
	return first == last ? first : 0;
}

uint64_t plan_align(uint64_t part_bytes, uint64_t source_part_bytes, uint64_t least_bytes)
{
	uint64_t pieces, aligned;

	if (source_part_bytes == 0)
		return part_bytes;
	if (part_bytes >= source_part_bytes) {
		aligned = part_bytes / source_part_bytes * source_part_bytes;
		if (aligned < least_bytes)
			aligned += source_part_bytes;
		return aligned <= PLAN_PART_MAX_BYTES ? aligned : part_bytes;
	}
	for (pieces = (source_part_bytes + part_bytes - 1) / part_bytes; source_part_bytes / pieces >= PLAN_PART_MIN_BYTES; pieces++) {
		aligned = source_part_bytes / pieces;
		if (source_part_bytes % pieces == 0 && aligned >= least_bytes)
			return aligned;
	}
	return part_bytes;
}

/* ------------------------------------------------------------------------------------------------- cutting */

struct cutter {
	const struct plan_options *options;
	const struct sched_extent *extents;
	size_t count;
	size_t extent; /* the cursor */
	uint64_t skip;
	uint64_t part_bytes;
	uint64_t min_bytes; /* of every part but the last, and of a run worth a server-side copy */
	struct plan *plan;
	size_t capacity;
};

static bool server_can_copy(const struct plan_options *o, const struct sched_extent *e)
{
	/* S3 copies ranges only out of objects of more than 5 MiB. */
	return o->server_copy && e->kind == SCHED_EXTENT_COPY && e->source->size_bytes > PLAN_PART_MIN_BYTES &&
	       s3_bucket_same_account(e->source->bucket, o->bucket);
}

static uint64_t rest_of_extent(const struct cutter *c)
{
	return c->extents[c->extent].length_bytes - c->skip;
}

static void advance(struct cutter *c, uint64_t bytes)
{
	assert(bytes <= rest_of_extent(c));
	c->skip += bytes;
	if (c->skip == c->extents[c->extent].length_bytes) {
		c->extent++;
		c->skip = 0;
	}
}

static struct plan_part *add_part(struct cutter *c)
{
	struct plan *p = c->plan;
	struct plan_part *part;

	if (p->part_count == c->capacity) {
		c->capacity = c->capacity ? 2 * c->capacity : 16;
		p->parts = xreallocarray(p->parts, c->capacity, sizeof(*p->parts));
	}
	part = &p->parts[p->part_count++];
	*part = (struct plan_part){.extent = c->extent, .skip_bytes = c->skip};
	return part;
}

/* Is the server to copy from the cursor on? A short run is worth it only where the object ends. */
static bool at_server_copy(const struct cutter *c)
{
	return server_can_copy(c->options, &c->extents[c->extent]) &&
	       (rest_of_extent(c) >= c->min_bytes || c->extent + 1 == c->count);
}

/* The rest of the extent in equal pieces, so that none is short. */
static void cut_server_copy(struct cutter *c)
{
	uint64_t rest = rest_of_extent(c), piece_max = PLAN_COPY_PART_BYTES, pieces;

	if (piece_max < c->part_bytes)
		piece_max = c->part_bytes;
	pieces = (rest + piece_max - 1) / piece_max;
	for (; pieces > 0; pieces--) {
		struct plan_part *part = add_part(c);

		part->server_copy = true;
		part->length_bytes = rest / pieces + (rest % pieces != 0);
		rest -= part->length_bytes;
		advance(c, part->length_bytes);
	}
}

/* One part of mixed segments; it stops before a run that the server can copy, as soon as it is long enough itself. */
static void cut_body(struct cutter *c)
{
	struct plan_part part = *add_part(c);

	while (c->extent < c->count && part.length_bytes < c->part_bytes) {
		uint64_t take = rest_of_extent(c), room = c->part_bytes - part.length_bytes;

		if (part.length_bytes > 0 && at_server_copy(c)) {
			if (part.length_bytes >= c->min_bytes)
				break;
			room = c->min_bytes - part.length_bytes;
		}
		if (take > room)
			take = room;
		if (c->extents[c->extent].kind == SCHED_EXTENT_COPY)
			part.relay_bytes += take;
		part.length_bytes += take;
		advance(c, take);
	}
	c->plan->parts[c->plan->part_count - 1] = part;
}

/* False: more than PARTS_MAX. */
static bool cut(struct cutter *c, uint32_t parts_max)
{
	c->extent = c->plan->uploaded;
	c->skip = 0;
	c->plan->part_count = 0;
	while (c->extent < c->count) {
		if (c->plan->part_count > parts_max)
			return false;
		if (at_server_copy(c))
			cut_server_copy(c);
		else
			cut_body(c);
	}
	return c->plan->part_count <= parts_max;
}

static enum s3_error cut_parts(struct plan *p, const struct plan_options *o, const struct sched_extent *extents,
			       size_t count, char *err, size_t err_size)
{
	uint32_t parts_max = PLAN_PARTS_MAX - (p->first_number - 1);
	uint64_t tail = p->size_bytes - p->uploaded_bytes;
	struct cutter c = {
		.options = o,
		.extents = extents,
		.count = count,
		.min_bytes = PLAN_PART_MIN_BYTES,
		.plan = p,
	};

	if (tail == 0)
		return S3_OK;
	if (parts_max == 0 || tail / parts_max >= PLAN_PART_MAX_BYTES) {
		snprintf(err, err_size, "%llu more bytes do not fit into an upload of %u parts",
			 (unsigned long long)tail, PLAN_PARTS_MAX);
		return S3_ERR_TOO_LARGE;
	}
	c.part_bytes = plan_part_size(
		tail, o->part_size_bytes || o->single_stream ? o->part_size_bytes : plan_link_part_size(tail, &o->link),
		parts_max);
	if (count == p->uploaded + 1 && extents[p->uploaded].kind == SCHED_EXTENT_COPY && !o->part_size_bytes && !o->single_stream) {
		const struct sched_extent *e = &extents[p->uploaded];
		uint64_t source_part = plan_source_part_size(e->source->etag, e->source->size_bytes);

		if (source_part && e->offset_bytes % source_part == 0)
			c.part_bytes = plan_align(c.part_bytes, source_part, tail / parts_max + (tail % parts_max != 0));
	}
	/* Many small changes to a huge object make many short parts. Longer ones, with more of it relayed, fit. */
	while (!cut(&c, parts_max)) {
		if (c.min_bytes < c.part_bytes) {
			c.min_bytes = c.min_bytes * 2 < c.part_bytes ? c.min_bytes * 2 : c.part_bytes;
		} else if (c.part_bytes * 2 <= PLAN_PART_MAX_BYTES) {
			c.part_bytes *= 2;
		} else {
			snprintf(err, err_size, "the object would need more than %u parts", PLAN_PARTS_MAX);
			return S3_ERR_TOO_LARGE;
		}
	}
	return S3_OK;
}

/* ------------------------------------------------------------------------------------------------- choosing */

/* Parts that were uploaded while the file was written stand at the front, in ascending order. */
static enum s3_error take_uploaded(struct plan *p, const struct sched_extent *e, size_t count, char *err, size_t err_size)
{
	size_t i;

	for (i = 0; i < count && e[i].kind == SCHED_EXTENT_PART; i++) {
		if (e[i].part_number < p->first_number || e[i].part_number > PLAN_PARTS_MAX) {
			snprintf(err, err_size, "part %u is out of order or above %u", e[i].part_number, PLAN_PARTS_MAX);
			return S3_ERR_INVALID;
		}
		if (i + 1 < count && e[i].length_bytes < PLAN_PART_MIN_BYTES) {
			snprintf(err, err_size, "part %u has only %llu bytes but is not the last", e[i].part_number,
				 (unsigned long long)e[i].length_bytes);
			return S3_ERR_INVALID;
		}
		p->first_number = e[i].part_number + 1;
		p->uploaded_bytes += e[i].length_bytes;
	}
	p->uploaded = i;
	for (; i < count; i++) {
		if (e[i].kind == SCHED_EXTENT_PART) {
			snprintf(err, err_size, "part %u was uploaded behind data that was not", e[i].part_number);
			return S3_ERR_UNSUPPORTED;
		}
	}
	return S3_OK;
}

static bool is_whole_copy(const struct plan_options *o, const struct sched_extent *e, size_t count)
{
	return count == 1 && o->server_copy && e->kind == SCHED_EXTENT_COPY && e->offset_bytes == 0 &&
	       e->length_bytes == e->source->size_bytes && s3_bucket_same_account(e->source->bucket, o->bucket);
}

static void choose_put(struct plan *p, const struct sched_extent *extents, size_t count)
{
	size_t i;

	p->method = PLAN_PUT;
	for (i = 0; i < count; i++)
		if (extents[i].kind == SCHED_EXTENT_COPY)
			p->relay_bytes += extents[i].length_bytes;
	free(p->parts);
	p->parts = NULL;
	p->part_count = 0;
}

enum s3_error plan_build(struct plan *p, const struct plan_options *o, const struct sched_extent *extents, size_t count,
			 char *err, size_t err_size)
{
	enum s3_error e;
	size_t i;

	*p = (struct plan){.method = PLAN_MULTIPART, .first_number = 1};
	for (i = 0; i < count; i++)
		p->size_bytes += extents[i].length_bytes;
	e = take_uploaded(p, extents, count, err, err_size);
	if (e != S3_OK)
		return e;
	if (p->uploaded == 0) {
		if (is_whole_copy(o, extents, count) &&
		    p->size_bytes <= (o->single_stream ? PLAN_PART_MAX_BYTES : PLAN_COPY_OBJECT_MAX_BYTES)) {
			p->method = PLAN_COPY;
			return S3_OK;
		}
		if (p->size_bytes < PLAN_PUT_BELOW_BYTES || (o->single_stream && p->size_bytes <= PLAN_PART_MAX_BYTES)) {
			choose_put(p, extents, count);
			return S3_OK;
		}
	}
	e = cut_parts(p, o, extents, count, err, err_size);
	if (e != S3_OK)
		plan_clear(p);
	else if (p->uploaded == 0 && p->part_count == 1 && !p->parts[0].server_copy)
		choose_put(p, extents, count);
	return e;
}

void plan_clear(struct plan *p)
{
	free(p->parts);
	*p = (struct plan){0};
}
