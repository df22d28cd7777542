/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recipes against a flat array of bytes: whatever is done to both, both read the same. */
#include "fs/recipe.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define FILE_MAX ((uint64_t)768 << 10)
#define SOURCE_SIZE ((uint64_t)1 << 20)

static struct s3_bucket *const bucket_a = (struct s3_bucket *)"a"; /* never looked into */

/* The objects in S3, which COPY extents of sources "x" and "y" refer to. */
static unsigned char objects[2][SOURCE_SIZE];

static const unsigned char *source_bytes(const struct sched_source *src, uint64_t offset)
{
	return objects[src->key[0] == 'y'] + offset;
}

static void extent_read(const struct sched_extent *e, uint64_t skip, unsigned char *out, uint64_t n)
{
	switch (e->kind) {
	case SCHED_EXTENT_COPY:
		memcpy(out, source_bytes(e->source, e->offset_bytes + skip), n);
		break;
	case SCHED_EXTENT_DATA:
		memcpy(out, block_data(e->block) + e->offset_bytes + skip, n);
		break;
	case SCHED_EXTENT_ZERO:
		memset(out, 0, n);
		break;
	case SCHED_EXTENT_PART:
		fail_msg("a part cannot be read");
	}
}

static void recipe_read(const struct recipe *r, uint64_t offset, unsigned char *out, uint64_t n)
{
	while (n) {
		uint64_t within, step;
		const struct sched_extent *e = recipe_find(r, offset, &within);

		assert_non_null(e);
		step = e->length_bytes - within < n ? e->length_bytes - within : n;
		extent_read(e, within, out, step);
		offset += step;
		out += step;
		n -= step;
	}
}

static size_t write_with(struct recipe *r, uint64_t offset, const void *data, size_t length, size_t needs)
{
	struct block *blocks[64];
	size_t i, used;

	assert_true(needs <= 64);
	for (i = 0; i < needs; i++)
		blocks[i] = block_new(NULL);
	assert_int_equal(recipe_write(r, offset, data, length, blocks, needs, &used), 0);
	assert_true(used <= needs);
	for (i = used; i < needs; i++)
		block_unref(blocks[i]);
	return used;
}

static size_t write_bytes(struct recipe *r, uint64_t offset, const void *data, size_t length)
{
	return write_with(r, offset, data, length, recipe_write_needs(r, offset, length));
}

/* ------------------------------------------------------------------------------------------------- model */

static uint64_t rng_state;

static uint64_t rng(uint64_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state % below;
}

struct model {
	unsigned char *bytes;
	uint64_t size;
	struct recipe recipe;
};

struct snapshot {
	struct sched_extent *extents;
	size_t count;
	unsigned char *bytes;
	uint64_t size;
};

static void model_grow(struct model *m, uint64_t size)
{
	if (size <= m->size)
		return;
	memset(m->bytes + m->size, 0, size - m->size);
	m->size = size;
}

static void model_compare(const struct model *m)
{
	unsigned char *got = malloc(FILE_MAX);

	recipe_check(&m->recipe);
	assert_int_equal(m->recipe.size_bytes, m->size);
	recipe_read(&m->recipe, 0, got, m->size);
	assert_memory_equal(got, m->bytes, m->size);
	free(got);
}

static void snapshot_take(struct snapshot *s, const struct model *m)
{
	s->extents = recipe_snapshot(&m->recipe, &s->count);
	s->size = m->size;
	s->bytes = malloc(m->size + 1);
	memcpy(s->bytes, m->bytes, m->size);
}

static void snapshot_check_and_drop(struct snapshot *s)
{
	unsigned char *got = malloc(s->size + 1);
	uint64_t pos = 0;
	size_t i;

	for (i = 0; i < s->count; i++) {
		extent_read(&s->extents[i], 0, got + pos, s->extents[i].length_bytes);
		pos += s->extents[i].length_bytes;
	}
	assert_int_equal(pos, s->size);
	assert_memory_equal(got, s->bytes, s->size);
	free(got);
	free(s->bytes);
	sched_extents_free(s->extents, s->count);
	*s = (struct snapshot){0};
}

static uint64_t some_length(void)
{
	switch (rng(4)) {
	case 0:
		return 1 + rng(16);
	case 1:
		return 1 + rng(5000);
	case 2:
		return BLOCK_BYTES - 2 + rng(5);
	default:
		return 1 + rng(3 * BLOCK_BYTES);
	}
}

static uint64_t some_offset(const struct model *m, uint64_t length)
{
	uint64_t offset;

	switch (rng(4)) {
	case 0:
		offset = m->size;
		break;
	case 1:
		offset = rng(m->size + 1) / BLOCK_BYTES * BLOCK_BYTES;
		break;
	case 2:
		offset = m->size + rng(3000);
		break;
	default:
		offset = rng(m->size + 1);
		break;
	}
	return offset + length > FILE_MAX ? FILE_MAX - length : offset;
}

static void model_write(struct model *m, struct snapshot *dropped_between)
{
	static unsigned char data[3 * BLOCK_BYTES + 8];
	uint64_t length = some_length(), offset = some_offset(m, length), i;
	unsigned char salt = (unsigned char)rng(256);
	size_t needs;

	for (i = 0; i < length; i++)
		data[i] = (unsigned char)(i * 31 + salt);
	needs = recipe_write_needs(&m->recipe, offset, length);
	if (dropped_between->bytes)
		snapshot_check_and_drop(dropped_between); /* a commit ends: shared blocks become unshared */
	write_with(&m->recipe, offset, data, length, needs);
	model_grow(m, offset + length);
	memcpy(m->bytes + offset, data, length);
}

static void model_copy_range(struct model *to, const struct model *from)
{
	uint64_t length = some_length(), src, offset;
	unsigned char *tmp;

	if (!from->size)
		return;
	if (length > from->size)
		length = from->size;
	src = rng(from->size - length + 1);
	offset = some_offset(to, length);
	tmp = malloc(length);
	memcpy(tmp, from->bytes + src, length);
	assert_int_equal(recipe_copy_range(&to->recipe, offset, &from->recipe, src, length), 0);
	model_grow(to, offset + length);
	memcpy(to->bytes + offset, tmp, length);
	free(tmp);
}

static void model_copy(struct model *m, struct sched_source *src)
{
	uint64_t length = some_length(), offset = some_offset(m, length), from = rng(SOURCE_SIZE - length);

	assert_int_equal(recipe_copy(&m->recipe, offset, src, from, length), 0);
	model_grow(m, offset + length);
	memcpy(m->bytes + offset, source_bytes(src, from), length);
}

static void model_step(struct model *m, struct model *other, struct sched_source **sources, struct snapshot *snap)
{
	uint64_t length, offset;

	switch (rng(16)) {
	case 0:
		length = rng(4) ? rng(FILE_MAX) : m->size ? rng(m->size) : 0;
		assert_int_equal(recipe_truncate(&m->recipe, length), 0);
		model_grow(m, length);
		m->size = length;
		break;
	case 1:
		length = some_length();
		offset = some_offset(m, length);
		assert_int_equal(recipe_zero(&m->recipe, offset, length), 0);
		model_grow(m, offset + length);
		memset(m->bytes + offset, 0, length);
		break;
	case 2:
	case 3:
		model_copy(m, sources[rng(2)]);
		break;
	case 4:
		model_copy_range(m, m);
		break;
	case 5:
		model_copy_range(m, other);
		break;
	case 6:
		if (snap->bytes)
			snapshot_check_and_drop(snap);
		snapshot_take(snap, m);
		break;
	default:
		model_write(m, rng(8) ? &(struct snapshot){0} : snap);
		break;
	}
}

static void any_sequence_of_operations_reads_like_a_flat_array(void **state)
{
	struct sched_source *sources[2];
	struct model m[2] = {0};
	struct snapshot snap[2] = {0};
	const char *seed = getenv("TEST_SEED");
	int i;

	rng_state = seed ? strtoull(seed, NULL, 0) : 0x5eed1234;
	for (i = 0; i < 2 * (int)SOURCE_SIZE; i++)
		objects[i / (int)SOURCE_SIZE][i % (int)SOURCE_SIZE] = (unsigned char)rng(256);
	sources[0] = sched_source_new(bucket_a, "x", "\"1\"", SOURCE_SIZE);
	sources[1] = sched_source_new(bucket_a, "y", "\"2\"", SOURCE_SIZE);
	for (i = 0; i < 2; i++)
		m[i].bytes = malloc(FILE_MAX);
	for (i = 0; i < 100000; i++) {
		int which = (int)rng(2);

		model_step(&m[which], &m[!which], sources, &snap[which]);
		recipe_check(&m[which].recipe);
		if (i % 251 == 0)
			model_compare(&m[which]);
	}
	for (i = 0; i < 2; i++) {
		model_compare(&m[i]);
		if (snap[i].bytes)
			snapshot_check_and_drop(&snap[i]);
		recipe_clear(&m[i].recipe);
		free(m[i].bytes);
		sched_source_unref(sources[i]);
	}
}

/* --------------------------------------------------------------------------------------------- single rules */

static void small_appends_fill_one_block(void **state)
{
	struct recipe r = RECIPE_INIT;
	unsigned i;

	for (i = 0; i < 1000; i++)
		assert_int_equal(write_bytes(&r, r.size_bytes, "0123456789", 10), i == 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(recipe_write_needs(&r, r.size_bytes, BLOCK_BYTES - r.size_bytes), 0);
	assert_int_equal(recipe_write_needs(&r, r.size_bytes, BLOCK_BYTES - r.size_bytes + 1), 1);
	recipe_clear(&r);
}

static void needs_is_exact_where_nothing_is_shared(void **state)
{
	static unsigned char data[5 * BLOCK_BYTES];
	struct sched_source *src = sched_source_new(bucket_a, "x", "\"1\"", SOURCE_SIZE);
	struct recipe r = RECIPE_INIT;

	assert_int_equal(recipe_copy(&r, 0, src, 0, SOURCE_SIZE), 0);
	assert_int_equal(write_bytes(&r, 0, data, BLOCK_BYTES), 1);
	assert_int_equal(write_bytes(&r, 0, data, BLOCK_BYTES), 0);
	assert_int_equal(recipe_write_needs(&r, BLOCK_BYTES - 1, 2), 1);
	assert_int_equal(write_bytes(&r, 1000000, data, 4096), 1);
	/* overwriting in order, in the middle of a file, goes on in the same block */
	assert_int_equal(write_bytes(&r, 1000000 + 4096, data, 4096), 0);
	/* only what lies between the two blocks needs new ones */
	assert_int_equal(recipe_write_needs(&r, 500, 1000000 + 8192 - 500), 7);
	assert_int_equal(write_bytes(&r, r.size_bytes + 17, data, sizeof(data)), 5);
	recipe_check(&r);
	recipe_clear(&r);
	sched_source_unref(src);
}

static void a_block_of_a_snapshot_is_never_touched(void **state)
{
	struct recipe r = RECIPE_INIT;
	struct sched_extent *snap;
	size_t n;

	write_bytes(&r, 0, "aaaa", 4);
	snap = recipe_snapshot(&r, &n);
	assert_int_equal(n, 1);
	assert_int_equal(recipe_write_needs(&r, 0, 4), 1);
	assert_int_equal(recipe_write_needs(&r, 4, 4), 1);
	memset(block_data(snap[0].block) + 4, '.', 4);
	assert_int_equal(write_bytes(&r, 4, "bbbb", 4), 1);
	assert_int_equal(write_bytes(&r, 1, "cc", 2), 1);
	assert_memory_equal(block_data(snap[0].block), "aaaa....", 8);
	sched_extents_free(snap, n);
	recipe_clear(&r);
}

static void copies_that_continue_each_other_are_one_extent(void **state)
{
	struct sched_source *a = sched_source_new(bucket_a, "x", "\"1\"", SOURCE_SIZE);
	struct sched_source *same = sched_source_new(bucket_a, "x", "\"1\"", SOURCE_SIZE);
	struct sched_source *newer = sched_source_new(bucket_a, "x", "\"2\"", SOURCE_SIZE);
	struct recipe r = RECIPE_INIT;

	assert_int_equal(recipe_copy(&r, 0, a, 0, 1000), 0);
	assert_int_equal(recipe_copy(&r, 1000, same, 1000, 1000), 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(recipe_copy(&r, 2000, newer, 2000, 1000), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(recipe_zero(&r, 500, 10), 0);
	assert_int_equal(r.count, 4);
	assert_int_equal(recipe_copy(&r, 500, a, 500, 10), 0);
	assert_int_equal(r.count, 2);
	recipe_clear(&r);
	sched_source_unref(a);
	sched_source_unref(same);
	sched_source_unref(newer);
}

static void parts_are_cut_from_the_front_and_stay_whole(void **state)
{
	static unsigned char data[4 * BLOCK_BYTES];
	struct recipe r = RECIPE_INIT, other = RECIPE_INIT;
	struct sched_extent *part;
	size_t n;

	write_bytes(&r, 0, data, sizeof(data));
	assert_int_equal(recipe_truncate(&r, sizeof(data) + 100), 0);
	assert_int_equal(recipe_stream_bytes(&r), sizeof(data) + 100);
	assert_int_equal(recipe_cut_part(&r, sizeof(data) + 101, 1, &part, &n), -EINVAL);
	assert_int_equal(recipe_cut_part(&r, 2 * BLOCK_BYTES + 5, 1, &part, &n), 0);
	assert_int_equal(n, 3);
	sched_extents_free(part, n);
	assert_int_equal(recipe_parts_bytes(&r), 2 * BLOCK_BYTES + 5);
	assert_int_equal(recipe_stream_bytes(&r), 2 * BLOCK_BYTES - 5 + 100);
	assert_int_equal(recipe_cut_part(&r, 1, 2, &part, &n), 0);
	sched_extents_free(part, n);
	assert_int_equal(r.extents[1].part_number, 2);
	assert_true(recipe_has_parts(&r) && recipe_has_data(&r));
	recipe_check(&r);

	assert_int_equal(recipe_truncate(&r, 10), -EOPNOTSUPP);
	assert_int_equal(recipe_zero(&r, 2 * BLOCK_BYTES, 10), -EOPNOTSUPP);
	assert_int_equal(recipe_copy_range(&other, 0, &r, 0, 1), -EOPNOTSUPP);
	assert_int_equal(recipe_write(&r, 0, "x", 1, NULL, 0, &n), -EOPNOTSUPP);
	assert_int_equal(recipe_parts_bytes(&r), 2 * BLOCK_BYTES + 6);
	assert_int_equal(recipe_truncate(&r, 2 * BLOCK_BYTES + 5), 0);
	assert_int_equal(recipe_truncate(&r, 0), 0);
	assert_false(recipe_has_parts(&r));
	recipe_clear(&r);
	recipe_clear(&other);
}

static void long_sequential_writing_stays_fast(void **state)
{
	static unsigned char data[BLOCK_BYTES];
	struct recipe r = RECIPE_INIT;
	struct block *b = block_new(NULL), *one;
	size_t used, i;
	clock_t began = clock();

	/* The same shared block again and again: 20,000 extents without 2.5 GiB of memory. */
	for (i = 0; i < 20000; i++) {
		one = block_ref(b);
		assert_int_equal(recipe_write(&r, r.size_bytes, data, 1, &one, 1, &used), 0);
		assert_int_equal(used, 1);
	}
	assert_int_equal(r.count, 20000);
	assert_true(clock() - began < 2 * CLOCKS_PER_SEC);
	recipe_clear(&r);
	block_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_appends_fill_one_block),
		cmocka_unit_test(needs_is_exact_where_nothing_is_shared),
		cmocka_unit_test(a_block_of_a_snapshot_is_never_touched),
		cmocka_unit_test(copies_that_continue_each_other_are_one_extent),
		cmocka_unit_test(parts_are_cut_from_the_front_and_stay_whole),
		cmocka_unit_test(long_sequential_writing_stays_fast),
		cmocka_unit_test(any_sequence_of_operations_reads_like_a_flat_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
