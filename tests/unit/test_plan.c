/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From extents to requests. */
#include "sched/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched/extent.h"
#include "tests/unit/fake_s3.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

static struct s3_bucket near, far;

static int setup(void **state)
{
	fake_bucket_init(&near, "near", 1);
	fake_bucket_init(&far, "far", 2);
	return 0;
}

static struct sched_extent copy(const struct s3_bucket *b, uint64_t source_size, uint64_t offset, uint64_t length)
{
	return (struct sched_extent){
		.kind = SCHED_EXTENT_COPY,
		.offset_bytes = offset,
		.length_bytes = length,
		.source = sched_source_new(b, "src", "\"e\"", source_size),
	};
}

static struct sched_extent zero(uint64_t length)
{
	return (struct sched_extent){.kind = SCHED_EXTENT_ZERO, .length_bytes = length};
}

static struct sched_extent part(uint32_t number, uint64_t length)
{
	return (struct sched_extent){.kind = SCHED_EXTENT_PART, .part_number = number, .length_bytes = length};
}

/* Every byte once and in order, every limit kept. */
static void check_plan(const struct plan *p, const struct sched_extent *e, size_t count)
{
	uint64_t total = extents_length(e, count), at = p->uploaded_bytes;
	size_t extent = p->uploaded, i;
	uint64_t skip = 0;

	assert_int_equal(p->size_bytes, total);
	if (p->method != PLAN_MULTIPART)
		return;
	assert_true(p->first_number - 1 + p->part_count <= PLAN_PARTS_MAX);
	for (i = 0; i < p->part_count; i++) {
		const struct plan_part *pp = &p->parts[i];
		uint64_t left = pp->length_bytes, relay = 0;

		assert_int_equal(pp->extent, extent);
		assert_int_equal(pp->skip_bytes, skip);
		assert_in_range(pp->length_bytes, i + 1 < p->part_count ? PLAN_PART_MIN_BYTES : 1, PLAN_PART_MAX_BYTES);
		if (pp->server_copy) {
			assert_int_equal(e[extent].kind, SCHED_EXTENT_COPY);
			assert_true(left <= e[extent].length_bytes - skip);
		}
		at += left;
		while (left > 0) {
			uint64_t take = e[extent].length_bytes - skip;

			if (take > left)
				take = left;
			if (e[extent].kind == SCHED_EXTENT_COPY && !pp->server_copy)
				relay += take;
			left -= take;
			skip += take;
			if (skip == e[extent].length_bytes) {
				skip = 0;
				extent++;
			}
		}
		assert_int_equal(pp->relay_bytes, relay);
	}
	assert_int_equal(at, total);
	assert_int_equal(extent, count);
}

static void plan(struct plan *p, struct sched_extent *e, size_t count, bool server_copy, uint64_t part_size)
{
	struct plan_options o = {.bucket = &near, .server_copy = server_copy, .part_size_bytes = part_size};
	char err[200];

	assert_int_equal(plan_build(p, &o, e, count, err, sizeof(err)), S3_OK);
	check_plan(p, e, count);
}

static void clear(struct sched_extent *e, size_t count)
{
	while (count > 0)
		sched_extent_clear(&e[--count]);
}

static void part_sizes_follow_the_object_and_the_limits(void **state)
{
	static const struct {
		uint64_t size, wanted;
		uint32_t parts;
		uint64_t expected;
	} cases[] = {
		{16 * MIB, 0, 10000, 8 * MIB},     {64 * MIB, 0, 10000, 8 * MIB},    {64 * MIB + 1, 0, 10000, 16 * MIB},
		{GIB, 0, 10000, 16 * MIB},         {GIB + 1, 0, 10000, 32 * MIB},    {100 * GIB, 0, 10000, 64 * MIB},
		{TIB, 0, 10000, 105 * MIB},        {48 * TIB, 0, 10000, 5034 * MIB}, {GIB, 100 * MIB, 10000, 100 * MIB},
		{GIB, 1, 10000, 5 * MIB},          {GIB, 0, 10, 103 * MIB},          {TIB, 6 * GIB, 10000, 5 * GIB},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(plan_part_size(cases[i].size, cases[i].wanted, cases[i].parts), cases[i].expected);
}

static void part_sizes_suit_the_link(void **state)
{
	static const struct {
		uint64_t size;
		struct plan_link link;
		uint64_t expected;
	} cases[] = {
		{GIB, {.factor = 0}, 16 * MIB},
		{GIB, {.factor = 1, .rtt_us = 5000, .bytes_per_s = 40e6, .workers = 8}, 16 * MIB},
		{4 * GIB, {.factor = 1, .rtt_us = 200000, .bytes_per_s = 40e6, .workers = 8}, 62 * MIB},
		{4 * GIB, {.factor = 1, .rtt_us = 400000, .bytes_per_s = 100e6, .workers = 8}, 64 * MIB},
		{128 * MIB, {.factor = 1, .rtt_us = 200000, .bytes_per_s = 40e6, .workers = 8}, 16 * MIB}, /* one each */
		{GIB, {.factor = 0.5, .rtt_us = 600000, .bytes_per_s = 1e6, .workers = 8}, 8 * MIB},
		{20 * MIB, {.factor = 0.5, .workers = 32}, 8 * MIB},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(plan_link_part_size(cases[i].size, &cases[i].link), cases[i].expected);
}

static void the_parts_of_a_source_are_read_off_its_etag(void **state)
{
	static const struct {
		const char *etag;
		uint64_t size, expected;
	} cases[] = {
		{"\"0123-64\"", GIB, 16 * MIB},        {"\"0123-65\"", GIB + 1, 16 * MIB}, {"0123-8", 64 * MIB, 8 * MIB},
		{"\"0123-2\"", 16 * MIB, 8 * MIB},     {"\"0123-7\"", 100 * MIB, 16 * MIB}, {"\"0123\"", GIB, 0},
		{"\"0123-1\"", GIB, 0},               {"\"01-23-x\"", GIB, 0},            {"\"0123-9\"", 10, 0},
		{"\"0123-4\"", 399 * MIB, 128 * MIB}, {"\"0123-3\"", 290 * MIB, 128 * MIB}, {"\"0123-3\"", 300 * MIB - 1, 128 * MIB},
		{NULL, GIB, 0},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(plan_source_part_size(cases[i].etag, cases[i].size), cases[i].expected);
}

static void parts_are_aligned_with_those_of_the_source(void **state)
{
	static const struct {
		uint64_t part, source, least, expected;
	} cases[] = {
		{16 * MIB, 0, 1, 16 * MIB},       {16 * MIB, 8 * MIB, 1, 16 * MIB}, {20 * MIB, 8 * MIB, 1, 16 * MIB},
		{20 * MIB, 8 * MIB, 19 * MIB, 24 * MIB}, {16 * MIB, 15 * MIB, 1, 15 * MIB}, {16 * MIB, 64 * MIB, 1, 16 * MIB},
		{16 * MIB, 50 * MIB, 1, 50 * MIB / 4}, {8 * MIB, 9 * MIB, 1, 8 * MIB}, {20 * MIB, 64 * MIB, 18 * MIB, 20 * MIB},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(plan_align(cases[i].part, cases[i].source, cases[i].least), cases[i].expected);
}

static void a_copy_is_cut_where_its_source_was(void **state)
{
	struct sched_extent e = copy(&far, 300 * MIB, 0, 300 * MIB);
	struct plan p;
	size_t i;

	free(e.source->etag);
	e.source->etag = strdup("\"0123-20\""); /* parts of 15 MiB */
	plan(&p, &e, 1, false, 0);
	assert_true(p.part_count > 1);
	for (i = 0; i + 1 < p.part_count; i++)
		assert_int_equal(p.parts[i].length_bytes % (15 * MIB), 0);
	plan_clear(&p);
	plan(&p, &e, 1, false, 16 * MIB); /* what somebody set counts */
	assert_int_equal(p.parts[0].length_bytes, 16 * MIB);
	plan_clear(&p);
	clear(&e, 1);
}

static void the_largest_object_fits_on_any_link(void **state)
{
	struct sched_extent e = zero(48 * TIB + TIB / 10 * 8);
	struct plan_options o = {.bucket = &near, .link = {.factor = 0.5, .workers = 32}};
	struct plan p;
	char err[200];

	assert_int_equal(plan_build(&p, &o, &e, 1, err, sizeof(err)), S3_OK);
	check_plan(&p, &e, 1);
	plan_clear(&p);
}

static void a_single_stream_is_one_request_as_long_as_that_is_allowed(void **state)
{
	static const struct {
		bool same_account;
		uint64_t size;
		enum plan_method method;
	} cases[] = {
		{false, 100 * MIB, PLAN_PUT},  {false, 5 * GIB, PLAN_PUT},       {false, 5 * GIB + 1, PLAN_MULTIPART},
		{true, 5 * GIB, PLAN_COPY},    {true, 5 * GIB + 1, PLAN_MULTIPART},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sched_extent e = copy(cases[i].same_account ? &near : &far, cases[i].size, 0, cases[i].size);
		struct plan_options o = {.bucket = &near, .server_copy = true, .single_stream = true};
		struct plan p;
		char err[200];

		assert_int_equal(plan_build(&p, &o, &e, 1, err, sizeof(err)), S3_OK);
		check_plan(&p, &e, 1);
		assert_int_equal(p.method, cases[i].method);
		plan_clear(&p);
		clear(&e, 1);
	}
}

static void one_copy_is_done_in_the_way_its_size_and_place_allow(void **state)
{
	static const struct {
		uint64_t source, offset, length;
		bool near, server_copy;
		enum plan_method method;
		size_t parts;
		bool parts_copied;
	} cases[] = {
		{1000, 0, 1000, true, true, PLAN_COPY, 0, false},
		{1000, 0, 1000, false, true, PLAN_PUT, 0, false},
		{1000, 0, 1000, true, false, PLAN_PUT, 0, false},
		{1000, 0, 999, true, true, PLAN_PUT, 0, false},
		{256 * MIB, 0, 256 * MIB, true, true, PLAN_COPY, 0, false},
		{256 * MIB + 1, 0, 256 * MIB + 1, true, true, PLAN_MULTIPART, 3, true},
		{6 * GIB, 0, 6 * GIB, true, true, PLAN_MULTIPART, 48, true},
		{6 * GIB, 0, 6 * GIB, true, false, PLAN_MULTIPART, 192, false},
		{16 * MIB - 1, 0, 16 * MIB - 1, false, true, PLAN_PUT, 0, false},
		{16 * MIB, 0, 16 * MIB, false, true, PLAN_MULTIPART, 2, false},
		{GIB, 5, 20 * MIB, true, true, PLAN_MULTIPART, 1, true},
		{5 * TIB, 0, 5 * TIB, true, true, PLAN_MULTIPART, 9987, true},
		{5 * TIB, 0, 5 * TIB, false, true, PLAN_MULTIPART, 9987, false},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sched_extent e = copy(cases[i].near ? &near : &far, cases[i].source, cases[i].offset, cases[i].length);
		struct plan p;

		plan(&p, &e, 1, cases[i].server_copy, 0);
		assert_int_equal(p.method, cases[i].method);
		assert_int_equal(p.part_count, cases[i].parts);
		if (p.part_count)
			assert_int_equal(p.parts[0].server_copy, cases[i].parts_copied);
		plan_clear(&p);
		clear(&e, 1);
	}
}

static void nothing_is_one_empty_put(void **state)
{
	struct plan p;

	plan(&p, NULL, 0, true, 0);
	assert_int_equal(p.method, PLAN_PUT);
	assert_int_equal(p.size_bytes, 0);
	plan_clear(&p);
}

static void a_single_part_becomes_a_put(void **state)
{
	struct sched_extent e = zero(50 * MIB);
	struct plan p;

	plan(&p, &e, 1, true, 64 * MIB);
	assert_int_equal(p.method, PLAN_PUT);
	plan_clear(&p);
}

static void small_changes_take_only_what_a_part_needs(void **state)
{
	struct sched_extent e[3] = {copy(&near, GIB, 0, 500 * MIB), zero(4 * KIB), copy(&near, GIB, 500 * MIB, 500 * MIB)};
	struct plan p;

	plan(&p, e, 3, true, 0);
	assert_int_equal(p.part_count, 9);
	assert_false(p.parts[4].server_copy);
	assert_int_equal(p.parts[4].length_bytes, PLAN_PART_MIN_BYTES);
	assert_int_equal(p.parts[4].relay_bytes, PLAN_PART_MIN_BYTES - 4 * KIB);
	plan_clear(&p);
	clear(e, 3);
}

static void a_short_source_is_not_copied_by_range(void **state)
{
	struct sched_extent e[2] = {zero(100 * MIB), copy(&near, 5 * MIB, 0, 5 * MIB)};
	struct plan p;
	size_t i;

	plan(&p, e, 2, true, 0);
	for (i = 0; i < p.part_count; i++)
		assert_false(p.parts[i].server_copy);
	plan_clear(&p);
	clear(e, 2);
}

/* 6000 pieces of a huge object with a changed page between each two: more parts than there may be. */
static void too_many_pieces_are_put_together(void **state)
{
	enum { PIECES = 6000 };
	struct sched_extent *e = calloc(2 * PIECES, sizeof(*e));
	struct plan p;
	size_t i;

	for (i = 0; i < PIECES; i++) {
		e[2 * i] = copy(&near, TIB, i * 20 * MIB, 20 * MIB);
		e[2 * i + 1] = zero(4 * KIB);
	}
	plan(&p, e, 2 * PIECES, true, 0);
	assert_true(p.part_count > 1000);
	plan_clear(&p);
	clear(e, 2 * PIECES);
	free(e);
}

static void random_recipes_keep_every_limit(void **state)
{
	uint64_t random = 9;
	unsigned round;

	for (round = 0; round < 2000; round++) {
		struct sched_extent e[40];
		size_t count, i;
		struct plan p;

		random = random * 6364136223846793005u + 1442695040888963407u;
		count = 1 + (random >> 40) % 40;
		for (i = 0; i < count; i++) {
			uint64_t length;

			random = random * 6364136223846793005u + 1442695040888963407u;
			length = 1 + (random >> 20) % ((uint64_t)1 << (10 + (random >> 50) % 22));
			if (random >> 62 == 0)
				e[i] = zero(length);
			else
				e[i] = copy(random >> 62 == 1 ? &far : &near, 16 * GIB, 0, length);
		}
		plan(&p, e, count, round % 3 != 0, 0);
		plan_clear(&p);
		clear(e, count);
	}
}

static void uploaded_parts_stand_first_and_keep_their_numbers(void **state)
{
	struct sched_extent e[3] = {part(2, 8 * MIB), part(7, 8 * MIB), zero(20 * MIB)};
	struct plan p;

	plan(&p, e, 3, true, 0);
	assert_int_equal(p.method, PLAN_MULTIPART);
	assert_int_equal(p.uploaded, 2);
	assert_int_equal(p.uploaded_bytes, 16 * MIB);
	assert_int_equal(p.first_number, 8);
	assert_int_equal(p.part_count, 3);
	plan_clear(&p);
	plan(&p, e, 2, true, 0); /* nothing left to send */
	assert_int_equal(p.method, PLAN_MULTIPART);
	assert_int_equal(p.part_count, 0);
	plan_clear(&p);
}

static void impossible_parts_are_refused(void **state)
{
	struct sched_extent order[2] = {part(2, 8 * MIB), part(2, 8 * MIB)};
	struct sched_extent middle[2] = {zero(8 * MIB), part(2, 8 * MIB)};
	struct sched_extent shorter[2] = {part(1, 1000), part(2, 8 * MIB)};
	struct sched_extent last[2] = {part(10000, 8 * MIB), zero(1)};
	struct sched_extent huge = zero(49 * TIB);
	const struct {
		struct sched_extent *e;
		size_t count;
		enum s3_error error;
	} cases[] = {
		{order, 2, S3_ERR_INVALID},   {middle, 2, S3_ERR_UNSUPPORTED}, {shorter, 2, S3_ERR_INVALID},
		{last, 2, S3_ERR_TOO_LARGE}, {&huge, 1, S3_ERR_TOO_LARGE},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct plan_options o = {.bucket = &near, .server_copy = true};
		char err[200] = "";
		struct plan p;

		assert_int_equal(plan_build(&p, &o, cases[i].e, cases[i].count, err, sizeof(err)), cases[i].error);
		assert_true(err[0]);
	}
}

/* -------------------------------------------------------------------------------------------------- extents */

static void neighbours_are_joined_and_empty_ones_dropped(void **state)
{
	struct sched_extent e[7] = {
		copy(&near, GIB, 0, 10), copy(&near, GIB, 10, 20), copy(&near, GIB, 40, 1), zero(0),
		zero(5),                 zero(6),                  copy(&far, GIB, 41, 1),
	};
	size_t count = 7;

	extents_coalesce(e, &count);
	assert_int_equal(count, 4);
	assert_int_equal(e[0].length_bytes, 30);
	assert_int_equal(e[1].offset_bytes, 40);
	assert_int_equal(e[2].length_bytes, 11);
	assert_int_equal(extents_length(e, count), 43);
	clear(e, count);
}

static void segments_are_the_extents_between_two_points(void **state)
{
	struct sched_extent e[3] = {copy(&near, GIB, 100, 50), zero(10), copy(&far, GIB, 7, 50)};
	struct s3_segment *s;
	size_t count;

	s = extents_segments(e, 20, 45, &count);
	assert_int_equal(count, 3);
	assert_int_equal(s[0].kind, S3_SEGMENT_OBJECT);
	assert_int_equal(s[0].src_offset_bytes, 120);
	assert_int_equal(s[0].length_bytes, 30);
	assert_int_equal(s[1].kind, S3_SEGMENT_ZERO);
	assert_int_equal(s[1].length_bytes, 10);
	assert_int_equal(s[2].src_offset_bytes, 7);
	assert_int_equal(s[2].length_bytes, 5);
	assert_ptr_equal(s[2].src_bucket, &far);
	free(s);
	clear(e, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(part_sizes_follow_the_object_and_the_limits),
		cmocka_unit_test(part_sizes_suit_the_link),
		cmocka_unit_test(the_parts_of_a_source_are_read_off_its_etag),
		cmocka_unit_test(parts_are_aligned_with_those_of_the_source),
		cmocka_unit_test(a_copy_is_cut_where_its_source_was),
		cmocka_unit_test(the_largest_object_fits_on_any_link),
		cmocka_unit_test(a_single_stream_is_one_request_as_long_as_that_is_allowed),
		cmocka_unit_test(one_copy_is_done_in_the_way_its_size_and_place_allow),
		cmocka_unit_test(nothing_is_one_empty_put),
		cmocka_unit_test(a_single_part_becomes_a_put),
		cmocka_unit_test(small_changes_take_only_what_a_part_needs),
		cmocka_unit_test(a_short_source_is_not_copied_by_range),
		cmocka_unit_test(too_many_pieces_are_put_together),
		cmocka_unit_test(random_recipes_keep_every_limit),
		cmocka_unit_test(uploaded_parts_stand_first_and_keep_their_numbers),
		cmocka_unit_test(impossible_parts_are_refused),
		cmocka_unit_test(neighbours_are_joined_and_empty_ones_dropped),
		cmocka_unit_test(segments_are_the_extents_between_two_points),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
