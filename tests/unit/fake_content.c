/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Contents of the fake S3's objects. */
#include "tests/unit/fake_content.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

unsigned char fake_pattern(uint64_t seed, uint64_t offset)
{
	uint64_t z = (seed + offset / 8) * 0x9e3779b97f4a7c15u;

	if (seed == 0)
		return 0;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (unsigned char)(z >> (8 * (offset % 8)));
}

static struct fake_run *add(struct fake_content *c, uint64_t length)
{
	struct fake_run *r;

	if (c->count == c->capacity) {
		c->capacity = c->capacity ? 2 * c->capacity : 4;
		c->runs = reallocarray(c->runs, c->capacity, sizeof(*c->runs));
		assert(c->runs);
	}
	r = &c->runs[c->count++];
	*r = (struct fake_run){.length_bytes = length};
	c->size_bytes += length;
	return r;
}

void content_add_pattern(struct fake_content *c, uint64_t seed, uint64_t offset, uint64_t length)
{
	struct fake_run *last = c->count ? &c->runs[c->count - 1] : NULL;

	if (length == 0)
		return;
	if (seed == 0)
		offset = 0;
	if (last && !last->bytes && last->seed == seed && (seed == 0 || last->offset_bytes + last->length_bytes == offset)) {
		last->length_bytes += length;
		c->size_bytes += length;
		return;
	}
	last = add(c, length);
	last->seed = seed;
	last->offset_bytes = offset;
}

void content_add_bytes(struct fake_content *c, const void *bytes, uint64_t length)
{
	struct fake_run *r;

	if (length == 0)
		return;
	r = add(c, length);
	r->bytes = malloc(length);
	assert(r->bytes);
	memcpy(r->bytes, bytes, length);
}

void content_add_slice(struct fake_content *c, const struct fake_content *from, uint64_t offset, uint64_t length)
{
	size_t i;

	assert(offset + length <= from->size_bytes);
	for (i = 0; i < from->count && length > 0; i++) {
		const struct fake_run *r = &from->runs[i];
		uint64_t take;

		if (offset >= r->length_bytes) {
			offset -= r->length_bytes;
			continue;
		}
		take = r->length_bytes - offset;
		if (take > length)
			take = length;
		if (r->bytes)
			content_add_bytes(c, r->bytes + offset, take);
		else
			content_add_pattern(c, r->seed, r->offset_bytes + offset, take);
		length -= take;
		offset = 0;
	}
}

static unsigned char run_byte(const struct fake_run *r, uint64_t at)
{
	return r->bytes ? r->bytes[at] : fake_pattern(r->seed, r->offset_bytes + at);
}

void content_read(const struct fake_content *c, uint64_t offset, void *buf, size_t length)
{
	unsigned char *to = buf;
	size_t i;

	for (i = 0; i < c->count && length > 0; i++) {
		const struct fake_run *r = &c->runs[i];

		if (offset >= r->length_bytes) {
			offset -= r->length_bytes;
			continue;
		}
		for (; offset < r->length_bytes && length > 0; offset++, length--)
			*to++ = run_byte(r, offset);
		offset = 0;
	}
	assert(length == 0);
}

static bool same_bytes(const struct fake_run *a, uint64_t a_at, const struct fake_run *b, uint64_t b_at, uint64_t length)
{
	uint64_t i;

	if (!a->bytes && !b->bytes && a->seed == b->seed && (a->seed == 0 || a->offset_bytes + a_at == b->offset_bytes + b_at))
		return true;
	for (i = 0; i < length; i++)
		if (run_byte(a, a_at + i) != run_byte(b, b_at + i))
			return false;
	return true;
}

bool content_equal(const struct fake_content *a, const struct fake_content *b)
{
	uint64_t a_at = 0, b_at = 0;
	size_t i = 0, j = 0;

	if (a->size_bytes != b->size_bytes)
		return false;
	while (i < a->count && j < b->count) {
		uint64_t length = a->runs[i].length_bytes - a_at;

		if (length > b->runs[j].length_bytes - b_at)
			length = b->runs[j].length_bytes - b_at;
		if (!same_bytes(&a->runs[i], a_at, &b->runs[j], b_at, length))
			return false;
		a_at += length;
		b_at += length;
		if (a_at == a->runs[i].length_bytes) {
			i++;
			a_at = 0;
		}
		if (b_at == b->runs[j].length_bytes) {
			j++;
			b_at = 0;
		}
	}
	return true;
}

void content_clear(struct fake_content *c)
{
	size_t i;

	for (i = 0; i < c->count; i++)
		free(c->runs[i].bytes);
	free(c->runs);
	*c = (struct fake_content){0};
}
