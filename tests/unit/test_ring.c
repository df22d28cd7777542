/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ring of a relay and its pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/ring.h"

static unsigned char byte_at(uint64_t i)
{
	return (unsigned char)(i * 131 + (i >> 8));
}

static void write_bytes(struct ring *r, uint64_t *at, size_t len)
{
	unsigned char *buf = malloc(len + 1);

	assert_non_null(buf);
	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at((*at)++);
	ring_write(r, buf, len);
	free(buf);
}

static void expect_bytes(struct ring *r, uint64_t *at, size_t len)
{
	unsigned char *buf = malloc(len + 1);

	assert_non_null(buf);
	assert_int_equal(ring_read(r, buf, len), len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf[i], byte_at((*at)++));
	free(buf);
}

static void a_new_ring_is_empty(void **state)
{
	struct ring_pool pool;
	struct ring r;
	char c;

	ring_pool_init(&pool, 1 << 20);
	assert_int_equal(ring_open(&r, &pool, 100), 0);
	assert_int_equal(ring_used(&r), 0);
	assert_int_equal(ring_free(&r), 100);
	assert_int_equal(ring_read(&r, &c, 1), 0);
	ring_close(&r, &pool);
	ring_pool_trim(&pool);
}

static void bytes_come_out_in_order_at_every_fill(void **state)
{
	static const struct {
		size_t capacity, write, read;
	} cases[] = {
		{1, 1, 1},     {7, 3, 3},       {7, 7, 7},         {100, 33, 17},
		{100, 100, 1}, {16384, 1000, 999}, {16385, 16384, 5000}, {1 << 20, 16384, 65536},
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct ring_pool pool;
		struct ring r;
		uint64_t written = 0, read = 0;

		ring_pool_init(&pool, 0);
		assert_int_equal(ring_open(&r, &pool, cases[c].capacity), 0);
		for (int turn = 0; turn < 300; turn++) {
			size_t n = ring_free(&r) < cases[c].write ? ring_free(&r) : cases[c].write;

			write_bytes(&r, &written, n);
			assert_int_equal(ring_used(&r), written - read);
			n = ring_used(&r) < cases[c].read ? ring_used(&r) : cases[c].read;
			expect_bytes(&r, &read, n);
		}
		expect_bytes(&r, &read, ring_used(&r));
		assert_int_equal(read, written);
		ring_close(&r, &pool);
	}
}

static void reading_gives_at_most_what_is_there(void **state)
{
	struct ring_pool pool;
	struct ring r;
	unsigned char buf[50];

	ring_pool_init(&pool, 0);
	assert_int_equal(ring_open(&r, &pool, 50), 0);
	ring_write(&r, "abc", 3);
	assert_int_equal(ring_read(&r, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "abc", 3);
	ring_close(&r, &pool);
}

static void rewinds_while_nothing_was_overwritten(void **state)
{
	struct ring_pool pool;
	struct ring r;
	uint64_t written = 0, read = 0;

	ring_pool_init(&pool, 0);
	assert_int_equal(ring_open(&r, &pool, 100), 0);
	assert_true(ring_rewind(&r));
	write_bytes(&r, &written, 60);
	expect_bytes(&r, &read, 60); /* empty in between: must not lose its place */
	write_bytes(&r, &written, 40);
	expect_bytes(&r, &read, 10);
	assert_true(ring_rewind(&r));
	assert_int_equal(ring_used(&r), 100);
	read = 0;
	expect_bytes(&r, &read, 100);
	assert_true(ring_rewind(&r));
	read = 0;
	expect_bytes(&r, &read, 100);
	ring_close(&r, &pool);
}

static void refuses_to_rewind_what_is_gone(void **state)
{
	struct ring_pool pool;
	struct ring r;
	uint64_t written = 0, read = 0;

	ring_pool_init(&pool, 0);
	/* By wrapping. */
	assert_int_equal(ring_open(&r, &pool, 100), 0);
	write_bytes(&r, &written, 80);
	expect_bytes(&r, &read, 50);
	write_bytes(&r, &written, 21);
	assert_false(ring_rewind(&r));
	expect_bytes(&r, &read, 51);
	ring_close(&r, &pool);

	/* By starting again at the front. */
	assert_int_equal(ring_open(&r, &pool, 100), 0);
	written = read = 0;
	write_bytes(&r, &written, 100);
	expect_bytes(&r, &read, 100);
	write_bytes(&r, &written, 1);
	assert_false(ring_rewind(&r));
	expect_bytes(&r, &read, 1);
	ring_close(&r, &pool);
}

static void pool_keeps_memory_up_to_its_limit(void **state)
{
	struct ring_pool pool;
	struct ring a, b, c;
	unsigned char *memory;

	ring_pool_init(&pool, 2 << 20);
	assert_int_equal(ring_open(&a, &pool, 1 << 20), 0);
	assert_int_equal(ring_open(&b, &pool, 1 << 20), 0);
	assert_int_equal(ring_open(&c, &pool, 1 << 20), 0);
	memory = b.data;
	ring_close(&a, &pool);
	ring_close(&b, &pool);
	assert_int_equal(pool.held_bytes, 2 << 20);
	ring_close(&c, &pool);
	assert_int_equal(pool.held_bytes, 2 << 20);

	assert_int_equal(ring_open(&a, &pool, (1 << 20) - 5), 0);
	assert_ptr_equal(a.data, memory);
	assert_int_equal(ring_free(&a), (1 << 20) - 5);
	assert_int_equal(ring_used(&a), 0);
	assert_int_equal(pool.held_bytes, 1 << 20);
	ring_close(&a, &pool);
	ring_pool_trim(&pool);
	assert_int_equal(pool.held_bytes, 0);
}

static void pool_gives_small_rings_small_memory(void **state)
{
	struct ring_pool pool;
	struct ring r;

	ring_pool_init(&pool, 1 << 20);
	assert_int_equal(ring_open(&r, &pool, 1), 0);
	assert_true(r.allocated_bytes <= 16384);
	ring_close(&r, &pool);
	assert_int_equal(ring_open(&r, &pool, 16385), 0);
	assert_int_equal(r.allocated_bytes, 32768);
	ring_close(&r, &pool);
	ring_pool_trim(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_ring_is_empty),
		cmocka_unit_test(bytes_come_out_in_order_at_every_fill),
		cmocka_unit_test(reading_gives_at_most_what_is_there),
		cmocka_unit_test(rewinds_while_nothing_was_overwritten),
		cmocka_unit_test(refuses_to_rewind_what_is_gone),
		cmocka_unit_test(pool_keeps_memory_up_to_its_limit),
		cmocka_unit_test(pool_gives_small_rings_small_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
