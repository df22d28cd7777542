/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Segments read as one stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "s3/body.h"

static struct s3_segment memory(const char *s)
{
	return (struct s3_segment){.kind = S3_SEGMENT_MEMORY, .length_bytes = strlen(s), .memory = s};
}

static struct s3_segment zero(uint64_t len)
{
	return (struct s3_segment){.kind = S3_SEGMENT_ZERO, .length_bytes = len};
}

static struct s3_segment object(uint64_t len)
{
	return (struct s3_segment){.kind = S3_SEGMENT_OBJECT, .length_bytes = len};
}

static void nothing_is_at_its_end(void **state)
{
	struct s3_segment empty[] = {memory(""), zero(0), object(0)};
	struct body b;
	char c;

	body_init(&b, NULL, 0, NULL);
	assert_true(body_at_end(&b));
	body_init(&b, empty, 3, NULL);
	assert_true(body_at_end(&b));
	assert_int_equal(body_read(&b, &c, 1, 0), 0);
}

static void one_read_spans_segments(void **state)
{
	struct s3_segment segs[] = {memory("abc"), zero(2), memory(""), memory("de")};
	char buf[16];
	struct body b;

	body_init(&b, segs, 4, NULL);
	assert_int_equal(body_read(&b, buf, sizeof(buf), 0), 7);
	assert_memory_equal(buf, "abc\0\0de", 7);
	assert_true(body_at_end(&b));
	assert_int_equal(b.read_bytes, 7);
}

static void every_buffer_size_gives_the_same_stream(void **state)
{
	struct s3_segment segs[] = {memory("abc"), zero(2), memory("defgh"), zero(1)};

	for (size_t size = 1; size < 12; size++) {
		char all[16] = "xxxxxxxxxxxxxxx";
		size_t at = 0, n;
		struct body b;

		body_init(&b, segs, 4, NULL);
		while ((n = body_read(&b, all + at, size < 11 - at ? size : 11 - at, 0)) > 0)
			at += n;
		assert_int_equal(at, 11);
		assert_memory_equal(all, "abc\0\0defgh\0", 11);
	}
}

static void waits_for_the_ring_and_goes_on(void **state)
{
	struct s3_segment segs[] = {memory("ab"), object(4), memory("cd")};
	struct ring_pool pool;
	struct ring ring;
	struct body b;
	char buf[16];

	ring_pool_init(&pool, 0);
	assert_int_equal(ring_open(&ring, &pool, 4), 0);
	body_init(&b, segs, 3, &ring);
	assert_false(body_at_object(&b));
	assert_int_equal(body_read(&b, buf, sizeof(buf), 0), 2);
	assert_true(body_at_object(&b));
	assert_int_equal(body_read(&b, buf, sizeof(buf), 0), 0);
	assert_false(body_at_end(&b));
	ring_write(&ring, "123", 3);
	assert_int_equal(body_read(&b, buf, sizeof(buf), 0), 3);
	assert_memory_equal(buf, "123", 3);
	ring_write(&ring, "4", 1);
	assert_int_equal(body_read(&b, buf, sizeof(buf), 0), 3);
	assert_memory_equal(buf, "4cd", 3);
	assert_true(body_at_end(&b));
	ring_close(&ring, &pool);
}

static void withheld_bytes_stay(void **state)
{
	struct s3_segment segs[] = {object(3), memory("z")};
	struct ring_pool pool;
	struct ring ring;
	struct body b;
	char buf[16];

	ring_pool_init(&pool, 0);
	assert_int_equal(ring_open(&ring, &pool, 3), 0);
	body_init(&b, segs, 2, &ring);
	assert_int_equal(body_read(&b, buf, sizeof(buf), 1), 0);
	ring_write(&ring, "123", 3);
	assert_int_equal(body_read(&b, buf, sizeof(buf), 1), 2);
	assert_int_equal(body_read(&b, buf, sizeof(buf), 1), 0);
	assert_int_equal(body_read(&b, buf, sizeof(buf), 0), 2);
	assert_memory_equal(buf, "3z", 2);
	ring_close(&ring, &pool);
}

static void an_object_takes_only_its_own_bytes(void **state)
{
	struct s3_segment segs[] = {object(2), zero(1), object(2)};
	struct ring_pool pool;
	struct ring ring;
	struct body b;
	char buf[16];

	ring_pool_init(&pool, 0);
	assert_int_equal(ring_open(&ring, &pool, 4), 0);
	ring_write(&ring, "1234", 4);
	body_init(&b, segs, 3, &ring);
	assert_int_equal(body_read(&b, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "12\00034", 5);
	ring_close(&ring, &pool);
}

static void rewinds_to_the_first_byte(void **state)
{
	struct s3_segment segs[] = {memory(""), memory("ab"), object(2), memory("c")};
	struct ring_pool pool;
	struct ring ring;
	struct body b;
	char buf[16];

	ring_pool_init(&pool, 0);
	assert_int_equal(ring_open(&ring, &pool, 2), 0);
	ring_write(&ring, "12", 2);
	body_init(&b, segs, 4, &ring);
	assert_int_equal(body_read(&b, buf, 4, 0), 4);
	assert_true(body_rewind(&b));
	assert_int_equal(body_read(&b, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "ab12c", 5);
	ring_write(&ring, "3", 1);
	assert_false(body_rewind(&b));
	assert_true(body_at_end(&b));
	ring_close(&ring, &pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_at_its_end),
		cmocka_unit_test(one_read_spans_segments),
		cmocka_unit_test(every_buffer_size_gives_the_same_stream),
		cmocka_unit_test(waits_for_the_ring_and_goes_on),
		cmocka_unit_test(withheld_bytes_stay),
		cmocka_unit_test(an_object_takes_only_its_own_bytes),
		cmocka_unit_test(rewinds_to_the_first_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
